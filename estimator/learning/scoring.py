"""The error measures, once: streaming, per component, over all time or the recent past."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import asdict

from estimator.arrays import Floats, State


class Errors(msgspec.Struct, frozen=True, omit_defaults=True):
    """How wrong estimates of one component were, in watts (``mape`` in percent, ``r2`` unitless).

    ``bias`` is estimate minus measurement. NaN (null in JSON) where there is nothing to divide by:
    ``mape`` skips measurements of 0 W (or below 1 µW, which is finer than meters resolve), ``r2``
    needs measurements that vary.
    """

    count: float
    mae: float
    rmse: float
    mape: float
    r2: float
    bias: float


_NOTHING_WATTS: Final = 1e-6
"""Less is the rounding of a difference of joules: to divide by it would make any error infinite."""

_COUNT, _ABS, _SQUARE, _SUM, _RATIO, _RATIO_COUNT, _TRUTH, _TRUTH_SQUARE = range(8)


class Scores:
    """Sums over estimates and measurements of C components at H horizons, to make errors of.

    With a half-life, the past is discounted by event time, so that the figures are those of the
    recent past. Measurements are summed relative to the first, which keeps R2 exact enough.
    """

    def __init__(
        self, horizons: int, components: int, half_life_seconds: float | None = None
    ) -> None:
        self._half_life = half_life_seconds
        self._sums = np.zeros((8, horizons, components))
        self._origin: Floats | None = None
        self._at_seconds: float | None = None

    def update(
        self, horizons: Sequence[int], estimated: Floats, measured: Floats, at_seconds: float
    ) -> None:
        """Take in estimates [H', K, C] made at some of the horizons for watts [K, C]."""
        terms = np.zeros((1, *self._sums.shape))
        terms[0, :, horizons] = np.add.reduce(self.terms(estimated, measured), axis=2).swapaxes(
            0, 1
        )
        self.add_rounds(terms, [at_seconds])

    def terms(self, estimated: Floats, measured: Floats) -> Floats:
        """What estimates [..., C] of watts [..., C] add to the sums: [8, ..., C]."""
        if self._origin is None:
            self._origin = measured.reshape(-1, measured.shape[-1])[0].copy()
        error = estimated - measured
        positive = measured > _NOTHING_WATTS
        relative = measured - self._origin
        terms = np.empty((8, *error.shape))
        terms[_COUNT] = 1.0
        np.abs(error, out=terms[_ABS])
        np.multiply(error, error, out=terms[_SQUARE])
        terms[_SUM] = error
        np.divide(terms[_ABS], np.where(positive, measured, np.inf), out=terms[_RATIO])
        terms[_RATIO_COUNT] = positive
        terms[_TRUTH] = relative
        terms[_TRUTH_SQUARE] = relative * relative
        return terms

    def follow(self, other: Scores) -> None:
        """Count from where another does, to be given what its `terms` gives."""
        self._origin = other._origin

    def add_rounds(self, terms: Floats, seconds: Sequence[float]) -> None:
        """Add sums of `terms`, [B, 8, H, C], of one round after the other.

        Each round discounts the past before it.
        """
        if self._half_life is None:
            # The first axis is the outer one: it is added up in order.
            self._sums = np.add.reduce(np.concatenate([self._sums[None], terms]), axis=0)
            return
        for added, at_seconds in zip(terms, seconds, strict=True):
            if self._at_seconds is not None and at_seconds > self._at_seconds:
                self._sums *= 2.0 ** ((self._at_seconds - at_seconds) / self._half_life)
            self._at_seconds = max(at_seconds, self._at_seconds or at_seconds)
            self._sums += added

    def errors(self, horizon: int, component: int) -> Errors:
        """The errors at the horizon of the component with these indices."""
        sums = [float(value) for value in self._sums[:, horizon, component]]
        count = sums[_COUNT]
        if count <= 0:
            return Errors(0.0, math.nan, math.nan, math.nan, math.nan, math.nan)
        spread = sums[_TRUTH_SQUARE] - sums[_TRUTH] ** 2 / count
        varies = spread > 1e-9 * max(1.0, sums[_TRUTH_SQUARE])
        ratios = sums[_RATIO_COUNT]
        return Errors(
            count=count,
            mae=sums[_ABS] / count,
            rmse=math.sqrt(sums[_SQUARE] / count),
            mape=100.0 * sums[_RATIO] / ratios if ratios > 0 else math.nan,
            r2=1.0 - sums[_SQUARE] / spread if varies else math.nan,
            bias=sums[_SUM] / count,
        )

    def absorb(self, other: Scores) -> None:
        """Add another's sums, both as of the later one's time."""
        if other._origin is None:
            return
        theirs = other._sums.copy()
        if self._origin is None:
            self._origin = other._origin.copy()
        shift = other._origin - self._origin
        count, truth = theirs[_COUNT], theirs[_TRUTH]
        theirs[_TRUTH_SQUARE] += 2.0 * shift * truth + count * shift * shift
        theirs[_TRUTH] = truth + count * shift
        if self._half_life is not None and other._at_seconds is not None:
            ours = other._at_seconds if self._at_seconds is None else self._at_seconds
            latest = max(ours, other._at_seconds)
            self._sums *= 2.0 ** ((ours - latest) / self._half_life)
            theirs *= 2.0 ** ((other._at_seconds - latest) / self._half_life)
            self._at_seconds = latest
        self._sums += theirs

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"sums": self._sums, "origin": self._origin, "at_seconds": self._at_seconds}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._sums = state["sums"].copy()
        self._origin, self._at_seconds = state["origin"], state["at_seconds"]


def next_errors(terms: Floats) -> Floats:
    """The mean absolute errors [B, C] in watts of the next samples, of sums as `add_rounds` takes.

    Every round must have been asked about at the first horizon.
    """
    errors: Floats = terms[:, _ABS, 0] / terms[:, _COUNT, 0]
    return errors


def as_json(errors: Errors) -> Mapping[str, float | None]:
    """The errors with null for what could not be computed."""
    return {name: value if math.isfinite(value) else None for name, value in asdict(errors).items()}
