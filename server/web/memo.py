"""What was worked out from the catalog, kept for as long as the catalog stays the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from estimator.choosing.catalog import Catalog

T = TypeVar("T")

_BOUND: Final = 1024


class SnapshotMemo(Generic[T]):
    """At most ``bound`` results by key, all forgotten when the catalog's entries change.

    For one thread: the event loop's. The catalog may change in another at any moment.
    """

    def __init__(self, catalog: Catalog, bound: int = _BOUND) -> None:
        self._catalog = catalog
        self._bound = bound
        self._entries: object = None
        self._kept: dict[Hashable, T] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gave for the key, or gives now; what it raises is not kept."""
        entries = self._catalog.entries
        if entries is not self._entries:
            self._kept.clear()
            self._entries = entries
        if key in self._kept:
            return self._kept[key]
        made = make()
        # Made while the catalog changed, it may be of either: good for this answer only.
        if self._catalog.entries is entries:
            if len(self._kept) >= self._bound:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = made
        return made
