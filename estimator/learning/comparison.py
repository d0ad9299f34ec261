"""Whether one of two is wrong by more than the other, on the same samples, beyond chance."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats
from estimator.artifacts.frozen import FrozenModel, horizon_for_age
from estimator.learning.recent_samples import Samples

HALF_LIFE_SECONDS: Final = 120.0
HALF_LIFE_ROUNDS: Final = 10
"""Where samples are far apart, it is so many of their distances."""
FEWEST: Final = 20
"""Fewer samples say nothing."""
FEWEST_INDEPENDENT: Final = 5.0
"""Nor can one be sure by samples so alike in time that they count for less than that many."""
SURE: Final = 4.0
"""So many standard errors are beyond chance, also for few samples and many comparisons."""

WILD: Final = (5.0, 20.0)
"""An error counts as at most so many times the usual one: when a meter raves, all are wrong.

By the lower bound small differences show beside wild samples, by the higher one what is very wrong
now and then.
"""

FEW_WILD: Final = 4
"""So many samples in a row that are as wild as that decide nothing."""

_NOTHING: Final = 1e-12
"""A variance of less is rounding."""
_MOST_ALIKE: Final = 0.95
_PART_OF_POWER: Final = 0.01
_SMALLEST_WATTS: Final = 0.01


class Comparison(NamedTuple):
    """By how much more one is wrong than another: 0.1 is a tenth more, -0.1 a tenth less.

    Surely at least ``least`` and at most ``most``, from ``among`` samples; infinite where these are
    too much alike for anything to be sure.
    """

    excess: float
    least: float
    most: float
    among: int


def compare(
    one: Floats, other: Floats, measured: Floats, at: NDArray[np.int64]
) -> Comparison | None:
    """How much more wrong estimates ``one`` than ``other`` are, [N, C] each, at times [N] (ms).

    Absolute errors are compared sample by sample, each component relative to the other's mean
    error, and the recent past counts for more. An error of more than `WILD` times what the better
    of both usually is wrong by counts as that: the worse for ``one`` of two bounds. A component of
    which the other is never wrong by more than 1 % of its power is measured by that: nobody is
    better for less. None if there are too few samples to say.
    """
    if len(at) < FEWEST:
        return None
    weights = 2.0 ** ((at - at[-1]) / _half_life_ms(at))
    weights /= weights.sum()
    wrong, otherwise = np.abs(one - measured), np.abs(other - measured)
    least = np.maximum(_PART_OF_POWER * _median(np.abs(measured), weights), _SMALLEST_WATTS)
    usual = np.maximum(_median(np.minimum(wrong, otherwise), weights), least)
    found = [_bounded(wrong, otherwise, weights, least, usual, wild) for wild in WILD]
    return Comparison(*(max(figures) for figures in zip(*found, strict=True)))


def _bounded(
    wrong: Floats, otherwise: Floats, weights: Floats, least: Floats, usual: Floats, wild: float
) -> Comparison:
    """The comparison of errors [N, C], of which none counts as more than ``wild`` times usual."""
    wrong, otherwise = np.minimum(wrong, wild * usual), np.minimum(otherwise, wild * usual)
    scale = np.maximum(weights @ otherwise, least)
    differences = ((wrong - otherwise) / scale).mean(axis=1)
    excess = float(weights @ differences)
    # Where one turns bad, what it is wrong by varies as never before, and each sample is like the
    # one before: so ask also how far chance would lead two that are both wrong as the other is.
    chance = math.sqrt(2.0) * _spread((otherwise / scale).mean(axis=1), weights)
    few = wild * FEW_WILD * float(weights.max())
    spread = min(_spread(differences, weights), max(chance, few))
    return Comparison(excess, excess - spread, excess + spread, len(weights))


def _spread(values: Floats, weights: Floats) -> float:
    """How far from the mean of such values chance may lead; infinite where they are too alike."""
    centred = values - weights @ values
    independent = _independent(centred, weights)
    if independent < FEWEST_INDEPENDENT:
        return math.inf
    return SURE * math.sqrt(float(weights @ centred**2) / (independent - 1.0))


def _half_life_ms(at: NDArray[np.int64]) -> float:
    passed = np.diff(at)
    apart = float(np.median(passed[passed > 0])) if passed.any() else 0.0
    return max(HALF_LIFE_SECONDS * 1000, HALF_LIFE_ROUNDS * apart)


def _median(values: Floats, weights: Floats) -> Floats:
    """The weighted median of each column of [N, C]."""
    order = np.argsort(values, axis=0)
    halves = np.argmax(np.cumsum(weights[order], axis=0) >= 0.5, axis=0)
    places = np.take_along_axis(order, halves[None], axis=0)
    median: Floats = np.take_along_axis(values, places, axis=0)[0]
    return median


def _independent(centred: Floats, weights: Floats) -> float:
    """How many independent samples weighted ones are worth that resemble their neighbours."""
    variance = float(weights @ centred**2)
    covariance = float(weights[1:] @ (centred[1:] * centred[:-1]))
    alike = min(max(covariance / variance, 0.0), _MOST_ALIKE) if variance > _NOTHING else 0.0
    return float(1.0 / (weights @ weights)) * (1.0 - alike) / (1.0 + alike)


def served(model: FrozenModel, samples: Samples) -> Floats:
    """What somebody would have been told who had that model: watts [N, C], by its age then."""
    seconds = np.maximum(samples.at - model.at, 0) // 1000
    horizons = np.array([_horizon(age) for age in seconds.tolist()], np.int64)
    watts = np.empty_like(samples.measured)
    for horizon in np.unique(horizons):
        then = horizons == horizon
        watts[then] = model.predict_many(samples.rows[then], int(horizon))
    return watts


@lru_cache(maxsize=4096)
def _horizon(seconds: int) -> int:
    return horizon_for_age(seconds)
