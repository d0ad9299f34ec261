"""Made-up machines for the tests of regressors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from estimator.arrays import Floats

BUSIEST = np.array([16_000.0, 3e10, 2e8, 700.0])


class Samples(NamedTuple):
    """Rows [N, F] of rates, watts [N, C], and the event time of each, in seconds."""

    rows: Floats
    watts: Floats
    at_seconds: Floats


def samples(
    seed: int,
    count: int = 60,
    features: int = 3,
    components: int = 2,
    *,
    noise: float = 0.5,
    step_seconds: float = 3.0,
) -> Samples:
    """Watts that rise, a little bent, with usage."""
    rng = np.random.default_rng(seed)
    usage = rng.uniform(0.0, 1.0, (count, features))
    slopes = rng.uniform(5.0, 40.0, (features, components))
    bent = usage.mean(axis=1, keepdims=True) ** 2 * 8.0
    watts = 20.0 + usage @ slopes + bent + rng.normal(0.0, noise, (count, components))
    busiest = np.resize(BUSIEST, features)
    return Samples(
        usage * busiest, np.maximum(watts, 0.0), np.arange(count, dtype=np.float64) * step_seconds
    )
