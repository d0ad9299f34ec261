from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import MisuseError
from estimator.storage.retention import SPREAD, Retention, last


class One(NamedTuple):
    digest: str
    at: int
    held: bool = False


def publish_all(
    keep: Retention, versions: list[One], currents: dict[str, str] | None = None
) -> list[One]:
    """What is left of versions that are published one after the other; each is current."""
    there: list[One] = []
    for version in versions:
        there.append(version)
        current = (currents or {}).get(version.digest, version.digest)
        kept = keep.kept(there, current)
        there = [one for one in there if one.digest in kept]
    return there


def every(seconds: float, count: int) -> list[One]:
    return [One(str(n), round(1_700_000_000_000 + n * seconds * 1000)) for n in range(count)]


@pytest.mark.parametrize("days", [1, 3])
def test_versions_of_every_five_seconds_are_kept_over_days(days: int) -> None:
    versions = every(5, days * 17_280)
    kept = publish_all(SPREAD, versions)
    ages = [(versions[-1].at - one.at) / 1000 for one in reversed(kept)]
    assert ages[:3] == [0, 5, 10]
    assert 10 <= len(kept) <= SPREAD.most
    for seconds, _ in SPREAD.spread:
        if seconds < days * 86_400:
            # Something to go back to that is at least so old, and not more than twice as old.
            assert any(seconds <= age <= 2 * seconds for age in ages), (seconds, ages)
    assert any(240 <= age <= 360 for age in ages), ages


def test_ten_are_kept_from_the_tenth_on() -> None:
    for count in range(1, 40):
        assert len(publish_all(SPREAD, every(5, count))) >= min(count, 10)


def test_versions_that_were_held_back_crowd_out_nothing() -> None:
    good = every(60, 600)
    before = publish_all(SPREAD, good)
    held = [One(f"h{n}", good[-1].at + 5000 * n, held=True) for n in range(1, 5000)]
    kept = publish_all(
        SPREAD, good + held, dict.fromkeys((h.digest for h in held), good[-1].digest)
    )
    assert [one for one in kept if not one.held] == [one for one in before if one in kept]
    assert len([one for one in kept if one.held]) == 3
    ages = [(good[-1].at - one.at) / 1000 for one in kept if not one.held]
    assert max(ages) >= 6 * 3600


def test_the_last_few_are_the_last_few() -> None:
    versions = every(1000, 9)
    assert publish_all(last(3), versions) == versions[-3:]
    assert publish_all(last(1), versions) == versions[-1:]
    with pytest.raises(MisuseError, match="keep is 0"):
        last(0)


published = st.lists(
    st.tuples(st.integers(0, 200_000), st.booleans(), st.floats(0, 1)), min_size=1, max_size=60
)


@given(published, st.booleans())
def test_the_current_one_is_always_kept_and_never_too_many(
    steps: list[tuple[int, bool, float]], backwards: bool
) -> None:
    there: list[One] = []
    current = ""
    for number, (seconds, held, which) in enumerate(steps):
        at = 1_700_000_000_000 + (-1 if backwards else 1) * seconds * 1000 * number
        there.append(One(str(number), at, held))
        # Any of those that are there may be current: the newest, an older one, one that was held.
        if not held or not current:
            current = there[int(which * (len(there) - 1))].digest
        kept = SPREAD.kept(there, current)
        assert kept <= {one.digest for one in there}
        there = [one for one in there if one.digest in kept]
        assert current in kept
        assert min(number + 1, 10) <= len(there) <= SPREAD.most
        assert there[-1].digest == str(number)
