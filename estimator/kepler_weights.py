"""Models as the weights that Kepler's own regressor reads, and that regressor's arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from estimator.catalog import Entry


def weights_answer(entry: Entry) -> dict[str, Any]:
    """The answer to a request for weights, in Kepler's JSON."""
    raise NotImplementedError


def evaluate_as_kepler(weights: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, int]:
    """Milliwatts by component that Kepler computes from these weights and rates."""
    raise NotImplementedError
