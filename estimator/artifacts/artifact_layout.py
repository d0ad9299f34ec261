"""What a frozen model's state must look like, so that no file can make serving fail later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import State
from estimator.artifacts.expansion import expansion
from estimator.artifacts.frozen import FrozenPolynomials, FrozenTrees
from estimator.artifacts.frozen_curves import FrozenCurves
from estimator.artifacts.frozen_neighbours import EXPERTS as NEIGHBOURS
from estimator.artifacts.frozen_neighbours import FrozenNeighbours
from estimator.artifacts.kepler_curves import CURVE_TRAINERS
from estimator.errors import DamagedError

MOST_FEATURES: Final = 1000
"""More are refused: the terms of second order are laid out as a square."""
MOST_ROWS: Final = 10_000
"""A window of more is refused: every question is compared with all of them."""


class Layout(NamedTuple):
    """The counts that give a model's arrays their shapes."""

    features: int
    components: int
    experts: int
    horizons: int


def check_layout(state: State, layout: Layout) -> None:
    """Refuse, with ``DamagedError``, a state that `FrozenModel.restore` must not be given."""
    features, components, experts, horizons = layout
    if not 1 <= features <= MOST_FEATURES or not components or not experts or not horizons:
        raise DamagedError(f"{layout} makes no model: features are 1 to {MOST_FEATURES}")
    _keys(state, "model", "at", "banks", "ceiling", "floor", "idle", "seen", "weights")
    _whole(state, "at", "at")
    _floats(state, "weights", "weights", (horizons, experts, components))
    for name in ("idle", "floor", "ceiling"):
        _floats(state, name, name, (components,))
    _floats(state, "seen", "seen", (2, features))
    if not isinstance(state["banks"], list):
        raise DamagedError("banks is not a list")
    held = sum(
        _check_bank(bank, f"banks.{number}", layout) for number, bank in enumerate(state["banks"])
    )
    if held != experts:
        raise DamagedError(f"banks hold {held} experts, the manifest names {experts}")


def _check_bank(bank: Any, where: str, layout: Layout) -> int:
    kind = bank.get("kind") if isinstance(bank, dict) else None
    check = CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise DamagedError(f"{where}: kind is {kind!r}, known are {', '.join(sorted(CHECKS))}")
    return check(bank, where, layout)


def _check_polynomials(bank: State, where: str, layout: Layout) -> int:
    _keys(bank, where, "kind", "order", "scales", "coefficients")
    order = _whole(bank, "order", f"{where}.order")
    if order not in (1, 2):
        raise DamagedError(f"{where}.order is {order}: 1 or 2 is needed")
    scales = _floats(bank, "scales", f"{where}.scales", (layout.features,))
    if not (scales > 0).all():
        raise DamagedError(f"{where}.scales are not all above 0")
    terms = expansion(layout.features, order).terms
    shape = (None, terms, layout.components)
    return len(_floats(bank, "coefficients", f"{where}.coefficients", shape))


def _check_trees(bank: State, where: str, layout: Layout) -> int:
    names = ("feature", "left", "right", "threshold", "value", "roots")
    _keys(bank, where, "kind", *names)
    feature = _ints(bank, "feature", f"{where}.feature", (None,), -1, layout.features)
    nodes = len(feature)
    for name in ("threshold", "value"):
        _floats(bank, name, f"{where}.{name}", (nodes,))
    inner = feature >= 0
    for name in ("left", "right"):
        children = _array(bank, name, f"{where}.{name}", np.dtype(np.int64), (nodes,))
        # Leaves have no children; children come after their parents, so that all walks end.
        asked = children[inner]
        if ((asked <= np.flatnonzero(inner)) | (asked >= nodes)).any():
            raise DamagedError(f"{where}.{name}: a child is not among the nodes after its parent")
    roots = _ints(bank, "roots", f"{where}.roots", (layout.components, None), 0, nodes)
    if not roots.size:
        raise DamagedError(f"{where}.roots are none")
    return 1


def _check_neighbours(bank: State, where: str, layout: Layout) -> int:
    names = ("coefficients", "curve_scales", "rows", "scales", "watts")
    _keys(bank, where, "kind", *names)
    features, components = layout.features, layout.components
    rows = _floats(bank, "rows", f"{where}.rows", (None, features))
    if not 1 <= len(rows) <= MOST_ROWS:
        raise DamagedError(f"{where}.rows are {len(rows)}: 1 to {MOST_ROWS} are needed")
    _floats(bank, "watts", f"{where}.watts", (len(rows), components))
    terms = expansion(features, 2).terms
    _floats(bank, "coefficients", f"{where}.coefficients", (terms, components))
    for name in ("scales", "curve_scales"):
        if not (_floats(bank, name, f"{where}.{name}", (features,)) > 0).all():
            raise DamagedError(f"{where}.{name} are not all above 0")
    if (np.abs(rows) > bank["scales"]).any():
        raise DamagedError(f"{where}.rows are greater than their scales")
    return len(NEIGHBOURS)


def _check_curves(bank: State, where: str, layout: Layout) -> int:
    _keys(bank, where, "kind", "form", "columns", "scales", "weights")
    form, components = bank["form"], (layout.components,)
    if not isinstance(form, str) or form not in CURVE_TRAINERS:
        raise DamagedError(f"{where}.form is {str(form)[:40]!r}: {', '.join(CURVE_TRAINERS)}")
    _ints(bank, "columns", f"{where}.columns", components, 0, layout.features)
    if not (_floats(bank, "scales", f"{where}.scales", components) > 0).all():
        raise DamagedError(f"{where}.scales are not all above 0")
    _floats(bank, "weights", f"{where}.weights", (*components, CURVE_TRAINERS[form]))
    return 1


CHECKS: Final[Mapping[str, Callable[[State, str, Layout], int]]] = {
    FrozenPolynomials.kind: _check_polynomials,
    FrozenTrees.kind: _check_trees,
    FrozenNeighbours.kind: _check_neighbours,
    FrozenCurves.kind: _check_curves,
}
"""For each kind of frozen experts its check, which returns how many experts there are."""


def _keys(state: State, where: str, *names: str) -> None:
    if set(state) != set(names):
        raise DamagedError(f"{where} has {sorted(state)}: {sorted(names)} are needed")


def _whole(state: State, key: str, where: str) -> int:
    value = state[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise DamagedError(f"{where} is {str(value)[:40]!r}: a whole number is needed")
    return value


def _array(
    state: State, key: str, where: str, dtype: np.dtype[Any], shape: tuple[int | None, ...]
) -> NDArray[Any]:
    array = state[key]
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        what = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise DamagedError(f"{where} is of {what}: an array of {dtype} is needed")
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = str(shape).replace("None", "any")
        raise DamagedError(f"{where} has shape {array.shape}: {wanted} is needed")
    return array


def _floats(state: State, key: str, where: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    array = _array(state, key, where, np.dtype(np.float64), shape)
    if not np.isfinite(array).all():
        raise DamagedError(f"{where} has values that are not finite")
    return array


def _ints(
    state: State, key: str, where: str, shape: tuple[int | None, ...], least: int, below: int
) -> NDArray[Any]:
    array = _array(state, key, where, np.dtype(np.int64), shape)
    if ((array < least) | (array >= below)).any():
        raise DamagedError(f"{where} has values outside {least} to {below - 1}")
    return array
