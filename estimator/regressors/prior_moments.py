"""A prior as moments: what a ridge regression starts from, and leaves behind.

A ridge minimises the squared errors and a penalty on its coefficients w. With a prior that has
coefficients w0 the penalty is (w - w0)ᵀ P (w - w0), which adds P to A and P w0 to b. P is the
covariance of the prior's rows: that w0 is the prior's own fit, need not be worked out, and along
what the rows say nothing of nothing is penalised. The constant is free.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.regressors.moments import Moments
from estimator.regressors.prior import Prior

SAMPLES_WORTH: Final = 0.03
"""The weight of the prior, in samples spread over all the prior's range. Those that a machine
shows first are close together: within a fifth of the range it takes a few of them to say as much.
"""
SHORTEST_SECONDS: Final = 100.0
"""Regressions that forget faster start from nothing: who is right is weighed from then on."""
_FINEST: Final = 2.0**-10
"""Scales are powers of two above what was seen; the prior's range is not seen yet."""


def start_from(moments: Moments, prior: Prior) -> None:
    """Put the prior into moments that have learned nothing yet.

    It is discounted like a sample of the same time, so that it fades even where none comes that
    would say more.
    """
    most = np.abs(prior.rows).max(axis=0)
    moments.scales = np.where(most > 0, np.exp2(np.ceil(np.log2(np.where(most > 0, most, 1.0)))), 0)
    moments.scales *= _FINEST
    terms = moments.expansion.expand(prior.rows / moments.frozen_scales())
    terms -= terms.mean(axis=0)
    watts = prior.watts - prior.watts.mean(axis=0)
    weight = SAMPLES_WORTH / len(terms)
    slow = moments.half_lives >= SHORTEST_SECONDS
    moments.a[slow] += weight * (terms.T @ terms)
    moments.b[slow] += weight * (terms.T @ watts)
