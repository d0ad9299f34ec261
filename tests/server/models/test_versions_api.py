from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog
from estimator.errors import StoreError
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.app import make_app
from server.web.token import BearerToken
from tests.server.conftest import AsgiTransport
from tests.server.error_shape import assert_error
from tests.server.fakes import make_entry

SLUG = make_entry().manifest.key.slug
PATH = f"/models/{SLUG}"


class Kept:
    """A real store with three versions of one model, and a client of its server."""

    def __init__(self, stack: ExitStack, token: str = "") -> None:
        self.models = ModelStore(open_store("memory:"))
        self.digests = [
            self.models.publish(Artifact(entry.manifest, entry.model))
            for entry in (make_entry(samples=count, mae=0.5) for count in (1000, 2000, 3000))
        ]
        self.catalog = Catalog(self.models)
        self.catalog.refresh()
        app = make_app(self.catalog, self.models, token=BearerToken(token))
        self.client = stack.enter_context(
            httpx.Client(transport=AsgiTransport(app), base_url="http://127.0.0.1:8100")
        )

    def post(self, what: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.client.post(f"{PATH}/{what}", json=body, headers=headers)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def kept(stack: ExitStack) -> Kept:
    return Kept(stack)


def test_versions_are_listed_the_oldest_first(kept: Kept) -> None:
    found = kept.client.get(f"{PATH}/versions").json()
    assert found["slug"] == SLUG
    assert [one["digest"] for one in found["versions"]] == kept.digests
    assert [one["current"] for one in found["versions"]] == [False, False, True]
    assert found["versions"][0]["samples"] == 1000
    assert found["versions"][0]["wrong"] == {
        "component": "core",
        "horizon": 60,
        "watts": 1.0,
        "percent": 5.0,
    }
    assert (found["pinned"], found["held_since"]) == (False, None)


@pytest.mark.parametrize("named", [64, 12])
def test_rolling_back_makes_a_version_current_and_pins_it(kept: Kept, named: int) -> None:
    answer = kept.post("rollback", {"version": kept.digests[0][:named]})
    assert answer.status_code == 200
    said = answer.json()
    assert (said["current"], said["pinned"]) == (kept.digests[0], True)
    assert said["rollbacks"] == {"manual": 1}
    kept.catalog.refresh()
    assert kept.client.get("/models").json()[0]["digest"] == kept.digests[0]
    # What is published then does not become current.
    entry = make_entry(samples=4000)
    kept.models.publish(Artifact(entry.manifest, entry.model))
    assert kept.models.index(SLUG).current == kept.digests[0]


def test_without_a_version_the_one_before_is_rolled_back_to(kept: Kept) -> None:
    assert kept.post("rollback").json()["current"] == kept.digests[1]
    assert kept.post("rollback", {}).json()["current"] == kept.digests[0]
    assert_error(kept.post("rollback"), 404, SLUG, "no version before")


def test_a_pin_is_set_and_taken_away(kept: Kept) -> None:
    said = kept.post("pin").json()
    assert (said["current"], said["pinned"]) == (kept.digests[2], True)
    said = kept.post("pin", {"version": kept.digests[1]}).json()
    assert (said["current"], said["pinned"], said["rollbacks"]) == (kept.digests[1], True, {})
    said = kept.client.delete(f"{PATH}/pin").json()
    assert (said["current"], said["pinned"]) == (kept.digests[1], False)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"version": "f" * 64}, 404, "f" * 64),
        ({"version": ""}, 400, "version"),
        ({"version": "XYZ"}, 400, "version"),
        ({"version": 7}, 400, "version"),
        ({"verison": "a"}, 400, "verison"),
        ([], 400, "[]"),
    ],
)
def test_what_makes_no_sense_is_named_and_changes_nothing(
    kept: Kept, body: Any, status: int, named: str
) -> None:
    for what in ("rollback", "pin"):
        assert_error(kept.post(what, body), status, named)
    assert kept.models.index(SLUG).current == kept.digests[2]
    assert not kept.models.index(SLUG).pinned


def test_the_beginning_of_several_digests_is_none(kept: Kept, stack: ExitStack) -> None:
    first = {digest[0] for digest in kept.digests}
    samples = 5000
    while len(first) == len(kept.digests):  # At most until every first digit has been there.
        entry = make_entry(samples=samples)
        kept.digests.append(kept.models.publish(Artifact(entry.manifest, entry.model)))
        first.add(kept.digests[-1][0])
        samples += 1
    there = [one.digest for one in kept.models.index(SLUG).versions]
    twice = next(d[0] for d in there if sum(other[0] == d[0] for other in there) > 1)
    assert_error(kept.post("rollback", {"version": twice}), 400, f"version {twice!r} may be any of")


def test_a_body_must_say_that_it_is_json(kept: Kept) -> None:
    """Another site's form cannot say so without asking first."""
    answer = kept.client.post(f"{PATH}/rollback", content=b"{}")
    assert_error(answer, 415, "application/json")
    sent = kept.client.post(
        f"{PATH}/rollback", content=b"no", headers={"content-type": "application/json"}
    )
    assert_error(sent, 400, "body is no")
    long = kept.post("rollback", {"version": "a" * 5000})
    assert_error(long, 413, "4096")


@pytest.mark.parametrize("key", ["nobody", ".hidden", "a%2Fb", "a b", "%2e%2e"])
def test_a_model_that_is_not_there(kept: Kept, key: str) -> None:
    for answer in (
        kept.client.get(f"/models/{key}/versions"),
        kept.client.post(f"/models/{key}/rollback"),
        kept.client.delete(f"/models/{key}/pin"),
    ):
        assert_error(answer, answer.status_code)
        assert answer.status_code in (400, 404)


def test_without_the_store_nothing_is_changed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreError("store memory: cannot be read")

    monkeypatch.setattr(kept.models, "index", away)
    assert_error(kept.post("rollback"), 503, "cannot be read")


@pytest.mark.parametrize(
    ("method", "what"), [("POST", "rollback"), ("POST", "pin"), ("DELETE", "pin")]
)
def test_only_who_may_write_does(stack: ExitStack, method: str, what: str) -> None:
    kept = Kept(stack, "s3cret")

    def ask(**headers: str) -> httpx.Response:
        return kept.client.request(method, f"{PATH}/{what}", headers=headers)

    assert_error(ask(), 401, "authorization")
    assert_error(ask(authorization="Bearer wrong"), 401, "authorization")
    assert_error(ask(authorization="Bearer s3cret", origin="http://evil.example"), 403, "evil")
    assert not kept.models.index(SLUG).pinned
    assert ask(authorization="Bearer s3cret").status_code == 200
    # Reading needs none.
    assert kept.client.get(f"{PATH}/versions").status_code == 200
