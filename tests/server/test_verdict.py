from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.verdict import BAD_PERCENT, Verdict, Wrong, is_bad, verdict, wrong

Measures = dict[str, float | None]


def _errors(**percent: float) -> dict[str, dict[str, Measures]]:
    """Errors by component, as of models five minutes old; they draw 100 W."""
    return {one: {"300": {"mae": share, "mape": share}} for one, share in percent.items()}


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
    bad, good = _errors(package=20.0), _errors(package=2.0)
    now = Wrong("package", 300, 20.0, 20.0)
    assert verdict([(5, bad), (4, bad), (3, good), (2, bad)]) == Verdict(now, 4)
    assert verdict([(5, bad), (4, bad)]) == Verdict(now, 4, at_least=True)
    assert verdict([(5, good), (4, bad)]) == Verdict(Wrong("package", 300, 2.0, 2.0))
    assert verdict([(5, {})]) == Verdict(None)
    assert verdict([]) == Verdict(None)


@given(st.lists(st.floats(0.2, 100.0), min_size=1, max_size=15))
def test_every_version_since_then_was_bad_and_the_one_before_was_not(shares: list[float]) -> None:
    versions = [(1000 - at, _errors(package=share)) for at, share in enumerate(shares)]
    said = verdict(versions)
    if said.bad_since is None:
        assert shares[0] < BAD_PERCENT
        return
    length = 1001 - said.bad_since
    assert all(share >= BAD_PERCENT for share in shares[:length])
    assert said.at_least == (length == len(shares))
    assert said.at_least or shares[length] < BAD_PERCENT
