from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.verdict import (
    BAD_PERCENT,
    LEARNED_SAMPLES,
    LEARNED_SECONDS,
    Errors,
    Verdict,
    Wrong,
    is_bad,
    is_learning,
    verdict,
    wrong,
)

Measures = dict[str, float | None]
LONG_AGO = 1_000
LONG = int(LEARNED_SECONDS * 1000)


class Version(msgspec.Struct, frozen=True):
    """What a version says of itself; it has learned enough, unless told otherwise."""

    at: int
    errors: Errors
    since: int = LONG_AGO
    samples: int = 1000


def _errors(**percent: float) -> dict[str, dict[str, Measures]]:
    """Errors by component, as of models five minutes old; they draw 100 W."""
    return {one: {"300": {"mae": share, "mape": share}} for one, share in percent.items()}


BAD = _errors(package=20.0)
GOOD = _errors(package=2.0)
NOW = Wrong("package", 300, 20.0, 20.0)


def _versions(*errors: Errors) -> list[Version]:
    """Versions of long ago, the newest first, a millisecond apart."""
    return [Version(2 * LONG - place, one) for place, one in enumerate(errors)]


def test_the_worst_component_counts_by_its_share_of_power() -> None:
    errors = {
        "package": {"300": {"mae": 12.0, "mape": 12.0}},
        "dram": {"300": {"mae": 3.0, "mape": 30.0}},
    }
    assert wrong(errors) == Wrong("dram", 300, 3.0, 30.0)


def test_what_is_too_little_to_matter_does_not_make_a_model_bad() -> None:
    little = {"uncore": {"300": {"mae": 0.05, "mape": 90.0}}}
    assert wrong({**_errors(package=4.0), **little}) == Wrong("package", 300, 4.0, 4.0)
    assert not is_bad(wrong(little))


def test_the_age_is_the_first_that_is_known() -> None:
    empty: Measures = {"mae": None, "mape": None}
    errors: dict[str, dict[str, Measures]] = {
        "package": {"0": {"mae": 1.0, "mape": 1.0}, "60": {"mae": 2.0, "mape": 2.0}, "300": empty}
    }
    assert wrong(errors) == Wrong("package", 60, 2.0, 2.0)
    assert wrong({"package": {}}) is None
    assert wrong({}) is None


def test_since_when_it_is_bad_is_said_by_its_versions() -> None:
    newest = 2 * LONG
    assert verdict(_versions(BAD, BAD, GOOD, BAD)) == Verdict(NOW, newest - 1)
    assert verdict(_versions(BAD, BAD)) == Verdict(NOW, newest - 1, at_least=True)
    assert verdict(_versions(GOOD, BAD)) == Verdict(Wrong("package", 300, 2.0, 2.0))
    assert verdict(_versions({})) == Verdict(None)
    assert verdict([]) == Verdict(None)


def test_who_has_only_begun_to_learn_is_not_called_bad() -> None:
    young = Version(LONG_AGO + LONG - 1, BAD)
    assert verdict([young]) == Verdict(NOW, learning_since=LONG_AGO)
    assert verdict([Version(LONG_AGO + LONG, BAD)]) == Verdict(NOW, LONG_AGO + LONG, at_least=True)
    # That it was wrong in its first minutes is no news either: it is bad since it can be judged.
    old = Version(LONG_AGO + LONG + 5000, BAD)
    assert verdict([old, young]) == Verdict(NOW, old.at, at_least=True)


def test_a_model_that_begins_anew_beside_a_good_one_is_not_called_bad() -> None:
    begun = Version(3 * LONG, BAD, since=3 * LONG - 60_000)
    assert verdict([begun, *_versions(GOOD)]) == Verdict(NOW, learning_since=begun.since)


def test_few_samples_are_not_enough_however_long_they_took() -> None:
    assert is_learning(Version(9 * LONG, BAD, samples=LEARNED_SAMPLES - 1))
    assert not is_learning(Version(9 * LONG, BAD, samples=LEARNED_SAMPLES))


def test_what_does_not_say_since_when_it_learns_is_judged() -> None:
    assert verdict([Version(LONG, BAD, since=0, samples=5)]).bad_since == LONG


@given(st.lists(st.floats(0.2, 100.0), min_size=1, max_size=15))
def test_every_version_since_then_was_bad_and_the_one_before_was_not(shares: list[float]) -> None:
    said = verdict(_versions(*(_errors(package=share) for share in shares)))
    if said.bad_since is None:
        assert shares[0] < BAD_PERCENT
        return
    length = 2 * LONG + 1 - said.bad_since
    assert all(share >= BAD_PERCENT for share in shares[:length])
    assert said.at_least == (length == len(shares))
    assert said.at_least or shares[length] < BAD_PERCENT
