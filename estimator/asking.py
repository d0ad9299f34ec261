"""Several frozen models asked at once: a learner scores models of several ages in every round.

Says what each `FrozenModel` would say alone, to the last bit. Asked one by one, models cost numpy
calls each, and with the few rows of a small fleet these calls are all that it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from estimator.arrays import Floats
from estimator.frozen import FrozenModel, FrozenPolynomials


def ask(
    models: Sequence[FrozenModel], horizons: Sequence[int], rows: Floats
) -> tuple[Floats, Floats]:
    """What models, each served at its horizon, say of rows [K, F].

    The opinions of their experts, [M, K, E, C], and the estimates, [M, K, C], in watts.
    """
    if not _alike(models):
        opinions = [model.opinions(rows) for model in models]
        estimates = [
            model.settle(rows, said, horizon)
            for model, said, horizon in zip(models, opinions, horizons, strict=True)
        ]
        return np.array(opinions), np.array(estimates)
    floor = np.array([model.floor for model in models])[:, None]
    upper = np.array([model.upper for model in models])[:, None]
    watts = _polynomials(models, rows)
    watts = np.fmin(np.fmax(watts, floor[:, None]), upper[:, None])
    weights = np.array([model.weights[at] for model, at in zip(models, horizons, strict=True)])
    estimated = np.add.reduce(watts * weights[:, None], axis=2)
    estimated = np.minimum(np.maximum(estimated, floor), upper)
    zero = ~np.logical_or.reduce(rows, axis=1)
    if np.logical_or.reduce(zero):
        estimated[:, zero] = np.array([model.idle for model in models])[:, None]
    return watts, estimated


def _alike(models: Sequence[FrozenModel]) -> bool:
    """Whether all experts of all models are polynomials of one form."""
    first = models[0].banks[0]
    return isinstance(first, FrozenPolynomials) and all(
        len(model.banks) == 1
        and isinstance(bank := model.banks[0], FrozenPolynomials)
        and bank.order == first.order
        and bank.coefficients.shape == first.coefficients.shape
        for model in models
    )


def _polynomials(models: Sequence[FrozenModel], rows: Floats) -> Floats:
    """What the experts say before the guards: [M, K, E, C]."""
    banks = [cast(FrozenPolynomials, model.banks[0]) for model in models]
    seen = np.array([model.seen for model in models])[:, :, None]
    within = np.minimum(np.maximum(rows, seen[:, 0]), seen[:, 1])
    scaled = within / np.array([bank.scales for bank in banks])[:, None]
    count, many, features = scaled.shape
    terms = banks[0].expansion.expand(scaled.reshape(count * many, features))
    said: Floats = terms.reshape(count, many, -1) @ np.array([bank.flat for bank in banks])
    experts, _, components = banks[0].coefficients.shape
    return said.reshape(count, many, experts, components)
