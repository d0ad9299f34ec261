"""Which energy counters a record has: shared by all records that have the same."""

from __future__ import annotations

from functools import lru_cache

from estimator.vocabulary import component_order


class ZoneLayout:
    """Zones by (component, name), in a record's order, and which component each adds to.

    ``places[i]`` is the place among ``components`` of zone i's.
    """

    def __init__(self, names: tuple[tuple[str, str], ...]) -> None:
        self.names = names
        self.components = component_order([component for component, _ in names])
        self.places = [self.components.index(component) for component, _ in names]


@lru_cache(maxsize=1024)
def zone_layout(names: tuple[tuple[str, str], ...]) -> ZoneLayout:
    """The (shared, immutable) layout of such records."""
    return ZoneLayout(names)
