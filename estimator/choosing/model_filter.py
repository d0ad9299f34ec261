"""Kepler's filters: what a model must be like to be chosen.

``attribute:threshold;attribute:threshold``, such as ``mae:5;mape:10``: an error measure must be at
most the threshold, one of which more is better at least. ``features:a,b`` admits models that use no
other features than these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.choosing.choice import MORE_IS_BETTER, Entry
from estimator.choosing.similarity import Mask
from estimator.errors import RequestError

_SHOWN: Final = 80


class Filter(NamedTuple):
    """At most and at least so much of error measures; no other features than these."""

    at_most: dict[str, float]
    at_least: dict[str, float]
    features: frozenset[str] | None


def parse_filter(text: str) -> Filter:
    """Read a filter; ``RequestError`` for what is none.

    >>> parse_filter("mae:5;r2:0.9;features:cpu_cycles")
    Filter(at_most={'mae': 5.0}, at_least={'r2': 0.9}, features=frozenset({'cpu_cycles'}))
    """
    at_most: dict[str, float] = {}
    at_least: dict[str, float] = {}
    features: frozenset[str] | None = None
    for part in filter(None, map(str.strip, text.split(";"))):
        attribute, _, wanted = (side.strip() for side in part.partition(":"))
        if not attribute or not wanted:
            raise RequestError(f"filter has {part[:_SHOWN]!r}: attribute:threshold is needed")
        if attribute == "features":
            given = frozenset(name.strip() for name in wanted.split(","))
            features = given if features is None else features & given
        elif attribute.endswith(tuple(MORE_IS_BETTER)):
            threshold = _threshold(part, wanted)
            at_least[attribute] = max(threshold, at_least.get(attribute, threshold))
        else:
            threshold = _threshold(part, wanted)
            at_most[attribute] = min(threshold, at_most.get(attribute, threshold))
    return Filter(at_most, at_least, features)


class Filterable:
    """N models with their error measures, which are columns here: many are filtered at once."""

    def __init__(self, scored: Sequence[tuple[Entry, Mapping[str, float]]]) -> None:
        self.entries = [entry for entry, _ in scored]
        self._features = [frozenset(entry.manifest.features) for entry in self.entries]
        # What a model does not have is NaN, and never compares.
        self._unknown = np.full(len(scored), np.nan)
        self._errors: dict[str, Floats] = {}
        for row, (_, errors) in enumerate(scored):
            for measure, value in errors.items():
                if measure not in self._errors:
                    self._errors[measure] = self._unknown.copy()
                self._errors[measure][row] = value

    def passing(self, wanted: Filter) -> Mask:
        """Which models are as the filter wants them: [N]."""
        passes = np.ones(len(self.entries), np.bool_)
        if wanted.features is not None:
            passes &= [features <= wanted.features for features in self._features]
        for measure, threshold in wanted.at_most.items():
            passes &= self._errors.get(measure, self._unknown) <= threshold
        for measure, threshold in wanted.at_least.items():
            passes &= self._errors.get(measure, self._unknown) >= threshold
        return passes


def _threshold(part: str, wanted: str) -> float:
    try:
        threshold = float(wanted)
    except ValueError:
        threshold = math.nan
    if math.isnan(threshold):
        raise RequestError(f"filter has {part[:_SHOWN]!r}: the threshold is not a number")
    return threshold
