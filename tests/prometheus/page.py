"""What Kepler 0.9 would expose of a simulated node: its page, record after record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stream.records import PowerRecord, UsageRecord
from stream.sources.protocol import Record


class Line(NamedTuple):
    """One series with its value now."""

    name: str
    labels: dict[str, str]
    value: float

    def text(self, **more: str) -> str:
        """The series as the exposition format has it, with these labels as well."""
        labels = ",".join(f'{k}="{v}"' for k, v in sorted({**self.labels, **more}.items()))
        return f"{self.name}{{{labels}}}"


class KeplerPage:
    """Kepler's counters: joules since its start, in two modes, whatever wraps below."""

    def __init__(self, idle_share: float = 0.25) -> None:
        self._idle_share = idle_share
        self._usage: UsageRecord | None = None
        self._joules: dict[tuple[str, str, str], float] = {}
        self._last: dict[tuple[str, str, str], tuple[int, float]] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Take in what the meters and the kernel said."""
        for record in records:
            if isinstance(record, UsageRecord):
                self._usage = record
            else:
                self._meter(record)

    def _meter(self, record: PowerRecord) -> None:
        for zone in record.zones or ():
            package = zone.zone.partition("/")[0].removeprefix("package-")
            key = record.source, zone.component, package
            before = self._last.get(key)
            if before is not None:
                gained = zone.joules - before[1]
                if gained < 0:
                    gained += zone.wraps_at or 0.0
                self._joules[key] = self._joules.get(key, 0.0) + gained
            self._last[key] = record.at, zone.joules
        for component, watts in (record.watts or {}).items():
            key = record.source, component, "energy1"
            before = self._last.get(key)
            if before is not None:
                gained = watts * (record.at - before[0]) / 1000
                self._joules[key] = self._joules.get(key, 0.0) + gained
            self._last[key] = record.at, watts

    def lines(self) -> Iterator[Line]:
        """The page now; nothing before there was usage."""
        usage = self._usage
        if usage is None:
            return
        node = usage.node
        info = {"cpu_architecture": "Sky Lake", "platform_power_source": "acpi"}
        yield Line("kepler_node_info", {**info, "instance": node, "source": "os"}, 1.0)
        for feature, value in usage.node_features.items():
            yield Line(f"kepler_node_{feature}", {"instance": node, "cpu": "0"}, value)
        for (source, component, package), joules in self._joules.items():
            labels = {"instance": node, "package": package, "source": source}
            name = f"kepler_node_{component}_joules_total"
            yield Line(name, {**labels, "mode": "idle"}, joules * self._idle_share)
            yield Line(name, {**labels, "mode": "dynamic"}, joules * (1 - self._idle_share))
        for feature, values in usage.workloads.features.items():
            for name, value in zip(usage.workloads.id, values, strict=True):
                labels = {
                    "container_id": name,
                    "container_name": name,
                    "container_namespace": "sim",
                    "pod_name": f"{name}-0",
                    "source": "bpf",
                }
                yield Line(f"kepler_container_{feature}_total", labels, value)

    def text(self) -> str:
        """The page as it is scraped."""
        return "".join(f"{line.text()} {line.value!r}\n" for line in self.lines())
