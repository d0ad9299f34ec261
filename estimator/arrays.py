"""The array types that signatures are spelled with."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""Shapes are written in docstrings with K rows, F features, C components, E experts, D terms."""

State: TypeAlias = dict[str, Any]
"""Plain data (dicts, lists, numbers, strings, bytes, arrays) that an object can be made of."""


def copied(state: State) -> State:
    """The state with arrays of its own, which nobody changes."""
    return {key: _copied(value) for key, value in state.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return copied(value)
    return value.copy() if isinstance(value, list) else value
