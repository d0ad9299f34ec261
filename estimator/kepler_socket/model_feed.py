"""The models that an estimator answers with: those of last time at once, then what is new."""

from __future__ import annotations

from estimator.choosing.catalog import Catalog
from estimator.choosing.model_cache import ModelCache
from estimator.kepler_socket.counts import Counts


class ModelFeed:
    """Refreshes a catalog; with a cache, begins with what was served before the last stop."""

    def __init__(self, catalog: Catalog, counts: Counts, cache: ModelCache | None = None) -> None:
        self._catalog = catalog
        self._counts = counts
        self._cache = cache
        self._begun = False

    def refresh(self) -> None:
        """Look for new models; ``StoreError`` if none could ever be read.

        Once some have been read, what cannot be read now is counted, and all stay as they are.
        """
        if not self._begun:
            self._begun = True
            if self._cache is not None:
                self._catalog.adopt(self._cache.remembered())
        changed = self._catalog.refresh()
        if self._catalog.last_error is not None:
            self._counts.refresh_failures += 1
        elif changed and self._cache is not None:
            self._cache.remember(self._catalog.entries)
