"""Kepler's filters: what a model must be like to be chosen.

``attribute:threshold;attribute:threshold``, such as ``mae:5;mape:10``: an error measure must be at
most the threshold, one of which more is better at least. ``features:a,b`` admits models that use no
other features than these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from estimator.artifact import Manifest
from estimator.choice import MORE_IS_BETTER
from estimator.errors import RequestError

_SHOWN: Final = 80

Condition = Callable[[Manifest, Mapping[str, float]], bool]


def parse_filter(text: str) -> list[Condition]:
    """The conditions that a filter sets on a manifest and its errors by measure.

    A measure that a model does not have rejects it. ``RequestError`` for what is no filter.

    >>> len(parse_filter("mae:5;features:cpu_cycles,cache_miss")), parse_filter("")
    (2, [])
    """
    return [_condition(part.strip()) for part in text.split(";") if part.strip()]


def _condition(part: str) -> Condition:
    attribute, colon, wanted = (side.strip() for side in part.partition(":"))
    if not attribute or not colon or not wanted:
        raise RequestError(f"filter has {part[:_SHOWN]!r}: attribute:threshold is needed")
    if attribute == "features":
        allowed = {name.strip() for name in wanted.split(",")}
        return lambda manifest, _: allowed.issuperset(manifest.features)
    try:
        threshold = float(wanted)
    except ValueError:
        threshold = math.nan
    if math.isnan(threshold):
        raise RequestError(f"filter has {part[:_SHOWN]!r}: the threshold is not a number")
    if attribute.endswith(tuple(MORE_IS_BETTER)):
        return lambda _, errors: attribute in errors and errors[attribute] >= threshold
    return lambda _, errors: attribute in errors and errors[attribute] <= threshold
