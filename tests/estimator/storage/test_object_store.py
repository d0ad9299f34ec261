from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from estimator.errors import ConflictError, MisuseError, StoreError
from estimator.storage.prefixed_store import PrefixedStore
from estimator.storage.store import ObjectStore, Store, open_store
from tests.estimator.store_contract import StoreContract

_BUCKETS = iter(range(1_000_000))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server in this process.

    It does one thing at a time: between a condition and what depends on it, moto lets others in.
    """
    dispatcher, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with one_at_a_time:
            return list(dispatcher(environ, start_response))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bucket_url(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket, reachable by what the environment says."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3,
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_BUCKETS)}"
    request = urllib.request.Request(f"{s3}/{name}", method="PUT")
    with urllib.request.urlopen(request, timeout=10):
        return f"s3://{name}/some/prefix"


class TestPartOfABucket(StoreContract):
    @pytest.fixture
    def store(self, bucket_url: str) -> Store:
        return PrefixedStore(open_store(bucket_url), "in/part")


class TestBucket(StoreContract):
    @pytest.fixture
    def store(self, bucket_url: str) -> Store:
        return open_store(bucket_url)

    def test_it_is_found_again_by_its_url(self, store: Store, bucket_url: str) -> None:
        tag = store.put("a/b", b"one")
        assert open_store(bucket_url).get("a/b") == (b"one", tag)

    def test_two_writers_never_both_win(self, store: Store, bucket_url: str) -> None:
        tag = store.put("current", b"0")
        start = threading.Barrier(4)

        def race(number: int) -> bool:
            mine = open_store(bucket_url)
            start.wait(10)
            try:
                mine.swap("current", f"{number}".encode(), tag)
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(race, range(1, 5))).count(True) == 1

    def test_swapping_what_was_deleted_is_a_conflict(self, store: Store) -> None:
        tag = store.put("a", b"one")
        store.delete("a")
        with pytest.raises(ConflictError, match="a: "):
            store.swap("a", b"two", tag)


def test_an_outage_is_an_error_that_names_the_bucket(
    bucket_url: str, monkeypatch: pytest.MonkeyPatch, unused_tcp: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_tcp}")
    with pytest.raises(StoreError, match=r"in s3://bucket-\d+/some/prefix"):
        open_store(bucket_url).put("a", b"")


@pytest.fixture
def unused_tcp() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("url", ["s3:", "s3://", "http://bucket", "s4://bucket"])
def test_other_urls_are_refused_by_name(url: str) -> None:
    with pytest.raises(MisuseError, match="store is "):
        open_store(url)


def test_a_bucket_is_opened_without_asking_it(bucket_url: str) -> None:
    assert isinstance(open_store(bucket_url), ObjectStore)
