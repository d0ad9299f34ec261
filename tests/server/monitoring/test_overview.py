from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from estimator.choosing.catalog import Entry
from estimator.vocabulary import FEATURE_GROUPS
from server.monitoring import overview
from server.monitoring.status import DriftStatus, LearnerStatus, ShardStatus, Status
from server.monitoring.verdict import LEARNED_SECONDS
from tests.server.conftest import Serve
from tests.server.error_shape import assert_error
from tests.server.fakes import FakeProvider, make_entry, make_index


def _entry(group: str, percent: float) -> Entry:
    entry = make_entry(group)
    errors: dict[str, dict[str, dict[str, float | None]]] = {
        component: {"300": {"mae": percent, "mape": percent}}
        for component in entry.manifest.components
    }
    manifest = replace(entry.manifest, errors=errors)
    return Entry(entry.digest, manifest, entry.model, entry.number)


def _overview(client: Any, **given: object) -> dict[str, Any]:
    response = client.get("/overview", params=given)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def _groups(found: dict[str, Any]) -> list[str]:
    return [one["key"]["feature_group"] for one in found["models"]]


def test_the_worst_model_comes_first(serve: Serve) -> None:
    client = serve(_entry("BPFOnly", 4.0), _entry("Basic", 30.0), _entry("CPUTime", 12.0))
    found = _overview(client)
    assert _groups(found) == ["Basic", "CPUTime", "BPFOnly"]
    assert (found["total"], found["found"], found["bad"]) == (3, 3, 2)
    worst = found["models"][0]
    assert worst["wrong"]["percent"] == 30.0
    assert (worst["bad"], worst["bad_since"], worst["at_least"]) == (True, worst["at"], True)
    assert found["models"][2]["bad_since"] is None


def test_who_has_only_begun_to_learn_is_not_called_bad(serve: Serve) -> None:
    begun = _entry("Basic", 90.0)
    since = begun.manifest.at - 60_000
    begun = Entry(begun.digest, replace(begun.manifest, since=since), begun.model, begun.number)
    client = serve(_entry("BPFOnly", 4.0), begun, _entry("CPUTime", 12.0))
    found = _overview(client)
    assert (found["total"], found["bad"], found["learning"]) == (3, 1, 1)
    assert found["learned_seconds"] == LEARNED_SECONDS
    # However much it is off: it stands below those of whom it is known what they are worth.
    assert _groups(found) == ["CPUTime", "BPFOnly", "Basic"]
    row = found["models"][2]
    assert (row["bad"], row["bad_since"], row["learning_since"]) == (False, None, since)
    assert row["wrong"]["percent"] == 90.0
    assert found["models"][0]["learning_since"] is None


def test_it_is_bounded_and_can_be_searched(serve: Serve) -> None:
    groups = list(FEATURE_GROUPS)[:4]
    client = serve(*(_entry(group, 10.0 + place) for place, group in enumerate(groups)))
    found = _overview(client, limit=2)
    assert _groups(found) == [groups[3], groups[2]]
    assert (found["total"], found["found"]) == (4, 4)
    found = _overview(client, search=groups[0].upper())
    assert groups[0] in _groups(found)
    assert all(groups[0].lower() in one["slug"].lower() for one in found["models"])
    assert _overview(client, search="nothing")["models"] == []


def test_versions_say_since_when_and_how_it_stands(serve: Serve) -> None:
    bad = _entry("Basic", 30.0)
    client = serve(bad)
    index = make_index(bad)
    now = index.versions[0]
    good = replace(
        now, digest="a" * 64, at=now.at - 9000, errors=_entry("Basic", 3.0).manifest.errors
    )
    before = replace(now, digest="b" * 64, at=now.at - 4000)
    held = replace(index, versions=[good, before, now], held_since=now.at - 1000, held_back=3)
    client.catalog.indexes = {index.key.slug: replace(held, rollbacks={"worse": 1, "manual": 2})}
    row = _overview(client)["models"][0]
    assert (row["bad_since"], row["at_least"]) == (now.at - 4000, False)
    assert (row["state"], row["held_since"], row["held_back"]) == ("held", now.at - 1000, 3)
    assert (row["versions"], row["rollbacks"]) == (3, 3)


def test_only_what_has_changed_is_judged_anew(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    real = overview._row

    def row(slug: str, *rest: Any) -> Any:
        judged.append(slug)
        return real(slug, *rest)

    monkeypatch.setattr(overview, "_row", row)
    entries = (_entry("BPFOnly", 4.0), _entry("Basic", 30.0))
    client = serve(*entries)
    tag = client.get("/overview").headers["etag"]
    again = client.get("/overview", headers={"if-none-match": tag})
    assert again.status_code == 304
    assert len(judged) == 2
    client.catalog.entries = (entries[0], _entry("Basic", 1.0))
    client.catalog.indexes = {
        slug: index for slug, index in client.catalog.indexes.items() if "Basic" not in slug
    }
    assert _groups(_overview(client)) == ["BPFOnly", "Basic"]
    assert len(judged) == 3


def test_drifts_of_a_models_partitions_count_together(serve: Serve) -> None:
    key, other = (_entry(group, 1.0).manifest.key for group in ("Basic", "CPUTime"))
    shards = tuple(
        ShardStatus(
            number,
            records=1,
            samples=1,
            drifts=(DriftStatus(key, number + 1, 100.0 + number), DriftStatus(other, 0)),
        )
        for number in range(2)
    )
    learner = LearnerStatus(records=2, samples=2, shards=shards)
    client = serve(
        _entry("Basic", 1.0), _entry("CPUTime", 1.0), provider=FakeProvider(Status(learner=learner))
    )
    assert _overview(client)["drifts"] == {key.slug: {"count": 3, "at": 101.0}}


@pytest.mark.parametrize("limit", ["0", "501", "-1", "many", "1.0", "٣", "", "9" * 40])
def test_a_limit_that_is_none_is_named(serve: Serve, limit: str) -> None:
    assert_error(serve().get("/overview", params={"limit": limit}), 400, "limit", "1 to 500")


def test_a_search_has_a_bound(serve: Serve) -> None:
    assert_error(serve().get("/overview", params={"search": "x" * 254}), 400, "search", "253")
