"""One scrape of a Kepler of any release, from HTTP or from a recording, as records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from stream.records import PowerRecord, UsageRecord, Workloads, Zone
from stream.sources import kepler_current as current
from stream.sources import kepler_guests as guests
from stream.sources import kepler_legacy as legacy
from stream.sources.kepler_exposition import Families
from stream.sources.protocol import Record

SERIES: Final = legacy.SERIES | current.MARKERS
"""The series that are used, without ``_total``."""
SCRAPED: Final = SERIES | guests.SERIES
"""Those that are used of a live exporter: the guests of a recorded one do not say who they are."""
ENERGY_SERIES: Final = current.ENERGY_SERIES | legacy.ENERGY_SERIES.keys()
USAGE_SERIES: Final = legacy.USAGE_SERIES | current.USAGE_SERIES
NODE_LABELS: Final = ("exported_instance", "node_name", "exported_node_name", "instance")
"""Labels that name the node, the best first: where Prometheus has put a target's own
``instance`` on a series, Kepler's is called ``exported_instance``."""
LABELS: Final = legacy.LABELS | current.LABELS
"""The labels that are used, beside those that name the node."""


def measures(series: str, labels: Mapping[str, str]) -> bool:
    """Whether the series is measured energy or power of a node, not a model's."""
    if series in legacy.ENERGY_SERIES:
        return legacy.meter(legacy.ENERGY_SERIES[series], labels) is not None
    if series == "kepler_platform_watts":
        return True
    return series in current.ENERGY_SERIES and current.meter(labels) is not None


def node_named_in(labels: Iterable[Mapping[str, str]]) -> str | None:
    """The node that the series' labels name, the best label first; None if none does.

    >>> node_named_in([{"instance": "10.0.0.7:9102"}]), node_named_in([{"zone": "package"}])
    ('10.0.0.7', None)
    >>> node_named_in([{"instance": "10.0.0.7:9102"}, {"exported_instance": "n1"}])
    'n1'
    """
    found: dict[str, str] = {}
    for each in labels:
        for label in NODE_LABELS:
            if each.get(label):
                found.setdefault(label, each[label])
    best = next((found[label] for label in NODE_LABELS if label in found), None)
    return _PORT.sub(r"\1", best) if best is not None else None


_PORT: Final = re.compile(r"^([^:]+|\[.*\]):\d+$")
"""An address with a port, which Prometheus calls an instance where nothing else does."""


class _Counters(NamedTuple):
    """What a page says that only rises: usage, and what each energy source's meters say."""

    usage: Workloads
    power: list[tuple[str, list[Zone] | None, dict[str, float] | None]]


class KeplerMapper:
    """Turns the scrapes of one exporter into records, one after the other.

    It tells releases apart at every scrape, since an exporter may be replaced under its address,
    and remembers of a machine what a later scrape does not say again. A machine that was given
    is kept whatever the exporter says. ``renewed`` is false of a scrape that found every counter
    where the scrape before had found it.
    """

    def __init__(self, node: str, machine: MachineSpec = UNKNOWN_MACHINE) -> None:
        self._node = node
        self._given = machine != UNKNOWN_MACHINE
        self._machine = machine
        self._last: _Counters | None = None
        self.renewed = True

    def records(self, families: Families, at: int) -> list[Record]:
        """The records of one scrape at that Unix time in ms: usage, if any, then power.

        Of current releases also the power of each virtual machine, under its own id.

        None of a page that was not renewed: it says how things were at the scrape before, and
        would look like an interval without any work and power, and the next like one of twice as
        much.
        """
        is_current = not current.MARKERS.isdisjoint(families)
        if not self._given:
            found = (current.current_machine if is_current else legacy.legacy_machine)(families)
            if found != UNKNOWN_MACHINE:
                self._machine = found
        if is_current:
            usage = current.current_usage(families, at, self._node, self._machine)
            power = current.current_power(families, at, self._node)
            power += guests.guest_power(families, at, self._node)
        else:
            usage = legacy.legacy_usage(families, at, self._node, self._machine)
            power = legacy.legacy_power(families, at, self._node)
        self.renewed = self._is_news(usage, power)
        return [*([usage] if usage is not None else []), *power] if self.renewed else []

    def _is_news(self, usage: UsageRecord | None, power: list[PowerRecord]) -> bool:
        """Whether something has moved. Energy always does; usage alone may stand still."""
        before, self._last = (
            self._last,
            _Counters(
                usage.workloads if usage is not None else Workloads(),
                [(record.source, record.zones, record.watts) for record in power],
            ),
        )
        return self._last != before or not any(record.zones for record in power)
