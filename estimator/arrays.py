"""The array types that signatures are spelled with."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""Shapes are written in docstrings with K rows, F features, C components, E experts, D terms."""

State: TypeAlias = dict[str, Any]
"""Plain data (dicts, lists, numbers, strings, bytes, arrays) that an object can be made of."""
