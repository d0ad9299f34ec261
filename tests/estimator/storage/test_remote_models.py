from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from estimator.artifacts.artifact import Artifact, encode
from estimator.choosing.catalog import Catalog
from estimator.errors import DamagedError, MisuseError, NotFoundError, StoreError
from estimator.storage import remote_models
from estimator.storage.remote_models import RemoteModels
from tests.estimator.artifacts.made import made_artifact


class Fake(ThreadingHTTPServer):
    """A model server of which every answer is made up; remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def publish(self, *artifacts: Artifact, tail: Any = None) -> None:
        listed = [row(artifact) for artifact in artifacts]
        self.answers["/models"] = 200, msgspec.json.encode(listed if tail is None else tail)
        for artifact in artifacts:
            data = encode(artifact)
            self.answers[f"/artifacts/{hashlib.sha256(data).hexdigest()}"] = 200, data


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_GET(self) -> None:
        known = self.headers["If-None-Match"]
        self.server.asked.append((self.path, known))
        status, body = self.server.answers.get(self.path, (404, b""))
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        if known == tag:
            status, body = 304, b""
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


def row(artifact: Artifact) -> dict[str, Any]:
    """As ``GET /models`` lists it."""
    manifest, name = artifact.manifest, hashlib.sha256(encode(artifact)).hexdigest()
    return {
        "key": manifest.key,
        "slug": manifest.key.slug,
        "digest": name,
        "number": 7,
        "samples": manifest.samples,
        "since": manifest.since,
        "at": manifest.at,
        "errors": manifest.errors,
        "features": manifest.features,
        "components": manifest.components,
        "experts": manifest.experts,
        "machine": manifest.machine,
        "versions": [{"digest": name, "at": manifest.at, "samples": manifest.samples}],
    }


@pytest.fixture
def server() -> Iterator[Fake]:
    with Fake() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_models_are_asked_for_only_when_they_have_changed(server: Fake) -> None:
    first, second = made_artifact(seed=1), made_artifact(seed=2)
    server.publish(first)
    catalog = Catalog(RemoteModels(server.url + "/"))
    assert catalog.refresh()
    (entry,) = catalog.entries
    assert (entry.manifest, entry.number) == (first.manifest, 7)
    for _ in range(3):
        assert not catalog.refresh()
    assert [path for path, _ in server.asked].count("/models") == 4
    assert sum(path.startswith("/artifacts/") for path, _ in server.asked) == 1
    assert [known is not None for path, known in server.asked if path == "/models"] == [
        *(False, True, True, True)
    ]
    server.publish(second)
    assert catalog.refresh()
    assert catalog.entries[0].model.at == second.model.at


def test_a_server_that_is_away_leaves_the_models_as_they_are(
    server: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    server.publish(made_artifact())
    catalog = Catalog(RemoteModels(server.url))
    catalog.refresh()
    before = catalog.entries
    for answer in ((500, b""), (302, b""), (200, b"<html>"), (200, b'[{"key":1}]'), (200, b"\xff")):
        server.answers["/models"] = answer
        assert not catalog.refresh()
        assert catalog.entries is before
        assert catalog.last_error is not None
    server.publish(made_artifact())
    catalog.refresh()
    assert catalog.last_error is None


def test_nobody_there_is_one_line() -> None:
    models = RemoteModels("http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"^http://127\.0\.0\.1:1/models: Connection refused$"):
        models.indexes()


def test_an_artifact_must_be_what_it_is_listed_as(server: Fake) -> None:
    server.publish(made_artifact(seed=1))
    (path,) = [path for path in server.answers if path.startswith("/artifacts/")]
    models, name = RemoteModels(server.url), path.rpartition("/")[2]
    server.answers[path] = 200, encode(made_artifact(seed=2))
    with pytest.raises(DamagedError, match="has digest"):
        models.artifact(name)
    junk = b"PK junk"
    junk_name = hashlib.sha256(junk).hexdigest()
    server.answers[f"/artifacts/{junk_name}"] = 200, junk
    with pytest.raises(DamagedError, match="not a zip"):
        models.artifact(junk_name)
    del server.answers[path]
    with pytest.raises(NotFoundError):
        models.artifact(name)
    server.answers[path] = 503, b""
    with pytest.raises(StoreError, match="answers 503"):
        models.artifact(name)


def test_too_much_is_not_read(server: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_models, "MOST_BYTES", 1000)
    server.answers["/models"] = 200, b" " * 2000
    with pytest.raises(StoreError, match="more than 1000 bytes"):
        RemoteModels(server.url).indexes()


def test_too_slow_is_not_waited_for(server: Fake) -> None:
    server.answers["/models"] = 200, b"[]"
    seconds = iter([0.0, 100.0])
    with pytest.raises(StoreError, match="not read whole within 30 s"):
        RemoteModels(server.url, lambda: next(seconds)).indexes()


def test_numbers_are_those_that_are_listed(server: Fake) -> None:
    artifact = made_artifact()
    server.publish(artifact)
    models = RemoteModels(server.url)
    models.indexes()
    assert models.number(artifact.manifest.machine) == 7
    assert models.number("unheard-of") == 0


@pytest.mark.parametrize(
    "url",
    ["", "host:8100", "ftp://host", "http://", "http://host:x", "http://a@host", "http://h/?a=b"],
)
def test_what_is_no_url_is_misuse(url: str) -> None:
    with pytest.raises(MisuseError, match="models is"):
        RemoteModels(url)
