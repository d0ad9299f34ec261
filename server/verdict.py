"""How wrong a model is, as one figure that models can be compared by, and since when it is bad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

Errors = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""A manifest's: by component and horizon."""

BAD_PERCENT: Final = 10.0
"""A model whose estimates are off by so much of the power is called bad."""
HORIZONS: Final = ("300", "60", "0")
"""Horizons by which a model is judged: the first that is known. 300 s is what choice goes by."""
_LEAST_WATTS: Final = 0.1
"""A component whose error is smaller does not make a model bad, however little it draws."""


class Wrong(msgspec.Struct, frozen=True):
    """The mean absolute error of a model's worst component, in watts and in percent of its power.

    ``horizon`` is the age in seconds of the model that made the estimates.
    """

    component: str
    horizon: int
    watts: float
    percent: float


class Verdict(msgspec.Struct, frozen=True):
    """``wrong`` is None where nothing has been estimated yet.

    ``bad_since`` (Unix ms of event time): each version from then on was worse than `BAD_PERCENT`;
    with ``at_least`` it is the oldest that is kept, and may have been so before.
    """

    wrong: Wrong | None
    bad_since: int | None = None
    at_least: bool = False


def wrong(errors: Errors) -> Wrong | None:
    """The worst component by error over power, each at the first horizon that is known."""
    found = (_of(component, errors[component]) for component in sorted(errors))
    return max(
        (one for one in found if one is not None),
        key=lambda one: (one.watts >= _LEAST_WATTS, one.percent),
        default=None,
    )


def verdict(versions: Iterable[tuple[int, Errors]]) -> Verdict:
    """What is to be said of a model by the times and errors of its versions, the newest first.

    >>> off = {"package": {"300": {"count": 9, "mae": 20.0, "mape": 25.0}}}
    >>> good = {"package": {"300": {"count": 9, "mae": 2.0, "mape": 2.5}}}
    >>> verdict([(3000, off), (2000, off), (1000, good)]).bad_since
    2000
    """
    now: Wrong | None = None
    since: int | None = None
    for place, (at, errors) in enumerate(versions):
        then = wrong(errors)
        if place == 0:
            now = then
        if not is_bad(then):
            return Verdict(now, since)
        since = at
    return Verdict(now, since, at_least=since is not None)


def is_bad(one: Wrong | None) -> bool:
    """Whether estimates are off by `BAD_PERCENT` of the power or more."""
    return one is not None and one.watts >= _LEAST_WATTS and one.percent >= BAD_PERCENT


def _of(component: str, horizons: Mapping[str, Mapping[str, float | None]]) -> Wrong | None:
    for horizon in HORIZONS:
        measures = horizons.get(horizon, {})
        watts, percent = measures.get("mae"), measures.get("mape")
        if watts is not None and percent is not None:
            return Wrong(component, int(horizon), watts, percent)
    return None
