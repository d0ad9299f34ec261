"""How wrong a model is, as one figure that models can be compared by, and since when it is bad.

A model that has only begun to learn is wrong by much, and that says nothing of what it will be:
it is not called bad before it has learned for a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import msgspec

Errors = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""A manifest's: by component and horizon."""

BAD_PERCENT: Final = 10.0
"""A model whose estimates are off by so much of the power is called bad."""
HORIZONS: Final = ("300", "60", "0")
"""Horizons by which a model is judged: the first that is known. 300 s is what choice goes by."""
LEARNED_SECONDS: Final = 900.0
"""Event time for which a model learns before it is judged: after 300 s there are estimates by a
model so old, and errors have a half-life of 600 s, in which those of the first minutes fade."""
LEARNED_SAMPLES: Final = 30
"""So many samples it has learned by then at least, where readings are far apart."""
_LEAST_WATTS: Final = 0.1
"""A component whose error is smaller does not make a model bad, however little it draws."""


class Learned(Protocol):
    """What a version says of itself, as `Version` and `Manifest` do; ``since`` is 0 if unknown."""

    @property
    def since(self) -> int:
        """Unix ms of event time of the first sample."""
        ...

    @property
    def at(self) -> int:
        """Of the last sample."""
        ...

    @property
    def samples(self) -> int:
        """How many there were."""
        ...

    @property
    def errors(self) -> Errors:
        """Of the recent past."""
        ...


class Wrong(msgspec.Struct, frozen=True):
    """The mean absolute error of a model's worst component, in watts and in percent of its power.

    ``horizon`` is the age in seconds of the model that made the estimates.
    """

    component: str
    horizon: int
    watts: float
    percent: float


class Verdict(msgspec.Struct, frozen=True):
    """``wrong`` is None where nothing has been estimated yet. Times are Unix ms of event time.

    ``bad_since``: each version from then on had learned enough to be judged, and was worse than
    `BAD_PERCENT`; with ``at_least`` it is the oldest of those that are kept, and may have been so
    before. ``learning_since``: it has learned since then, which is not enough.
    """

    wrong: Wrong | None
    bad_since: int | None = None
    at_least: bool = False
    learning_since: int | None = None


def wrong(errors: Errors) -> Wrong | None:
    """The worst component by error over power, each at the first horizon that is known."""
    found = (_of(component, errors[component]) for component in sorted(errors))
    return max(
        (one for one in found if one is not None),
        key=lambda one: (one.watts >= _LEAST_WATTS, one.percent),
        default=None,
    )


def verdict(versions: Iterable[Learned]) -> Verdict:
    """What is to be said of a model by its versions, the newest first."""
    now: Wrong | None = None
    since: int | None = None
    for place, version in enumerate(versions):
        then = wrong(version.errors)
        if place == 0:
            now = then
            if is_learning(version):
                return Verdict(now, learning_since=version.since)
        if is_learning(version):
            break
        if not is_bad(then):
            return Verdict(now, since)
        since = version.at
    return Verdict(now, since, at_least=since is not None)


def is_learning(version: Learned) -> bool:
    """Whether the version has not learned enough to be judged; not if that is not known."""
    seconds = (version.at - version.since) / 1000
    return version.since > 0 and (seconds < LEARNED_SECONDS or version.samples < LEARNED_SAMPLES)


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
