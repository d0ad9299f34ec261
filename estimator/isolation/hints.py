"""Hints: parts of names that tell background workloads from those that are of interest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST_REMEMBERED: Final = 100_000


class Hints:
    """Which workloads are background, by their names (ids).

    A workload is background if its name contains one of the ``background`` hints, or if there are
    ``target`` hints and it contains none of these. Without hints nothing is background.

    >>> Hints(background=["kube-system"]).mask(["kube-system/dns", "shop/web"]).tolist()
    [True, False]
    >>> Hints(target=["shop"]).mask(["kube-system/dns", "shop/web"]).tolist()
    [True, False]
    """

    def __init__(self, background: Iterable[str] = (), target: Iterable[str] = ()) -> None:
        self.background, self.target = tuple(background), tuple(target)
        self._known: dict[str, bool] = {}

    def mask(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Which of M workloads are background: [M]."""
        if len(self._known) + len(ids) > _MOST_REMEMBERED:
            self._known.clear()  # Names come and go; who is background is soon said again.
        known = self._known
        for name in ids:
            if name not in known:
                known[name] = self._is_background(name)
        return np.array([known[name] for name in ids], dtype=np.bool_)

    def _is_background(self, name: str) -> bool:
        if any(hint in name for hint in self.background):
            return True
        return bool(self.target) and not any(hint in name for hint in self.target)
