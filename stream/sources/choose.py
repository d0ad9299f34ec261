"""From the words of ``--source`` to sources, and what to read where nothing was said."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from estimator.errors import MisuseError, SourceUnavailableError
from estimator.settings import Settings
from estimator.system.discovery import discover_machine
from estimator.system.guest import vm_id
from estimator.vocabulary import HYPERVISOR
from stream.records import PowerRecord, UsageRecord
from stream.sources import hwmon, procfs, rapl
from stream.sources.kepler import KeplerSource
from stream.sources.prometheus_json import PrometheusJsonSource
from stream.sources.protocol import Record, Source
from stream.sources.simulated import SimulatedSource, simulated_fleet
from stream.sources.simulated_host import SimulatedHosts
from stream.sources.trace import Pace, TraceSource

_log = logging.getLogger(__name__)

SPELLINGS: Final = (
    "sim[:NODES]",
    "sim-host[:HOSTS]",
    "proc",
    "guest",
    "rapl",
    "acpi",
    "kepler:URL",
    "trace:FILE.csv",
    "recorded:FILE.csv",
    "prometheus:FILE.json",
)
_KEPLER_PORTS: Final = (8888, 9102, 28282)
"""Where Kepler listens by default: 0.7 to 0.9 in a container and in Kubernetes, 0.10 and later."""


class OnlyUsage:
    """A source without this node's power: the kernel's own meters are asked directly.

    What virtual machines draw goes on, which no meter of the kernel's says.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """What the source reads."""
        return f"{self._source.name} (usage)"

    @property
    def interval_seconds(self) -> float | None:
        """As the source has it."""
        return self._source.interval_seconds

    def poll(self) -> list[Record] | None:
        """The source's usage records, and the power of virtual machines."""
        records = self._source.poll()
        if records is None:
            return None
        return [
            record
            for record in records
            if isinstance(record, UsageRecord) or record.source == HYPERVISOR
        ]

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def node_name(settings: Settings) -> str:
    """The name of this node: the setting, or the host's name."""
    return settings.node or socket.gethostname()


def make_sources(
    words: Sequence[str], settings: Settings, past_seconds: float = 0.0
) -> list[Source]:
    """The sources that the words name; ``MisuseError`` names a word that is none.

    A simulated node first tells the last ``past_seconds``, so that there is something to see.

    Where a kernel meter is among them, a Kepler exporter is read for usage alone and for this
    node: the same energy from two sides would be two meters of one name.
    """
    metered = any(word in ("rapl", "acpi") for word in words)
    return [source for word in words for source in _make(word, settings, metered, past_seconds)]


def _make(word: str, settings: Settings, metered: bool, past_seconds: float) -> list[Source]:
    kind, _, rest = _spelled(word).partition(":")
    node, sysfs, proc = node_name(settings), Path(settings.sysfs), Path(settings.procfs)
    every = settings.interval
    if kind in ("sim", "sim-host"):
        return _simulated(word, kind, rest, every, past_seconds)
    if kind in ("proc", "guest") and not rest:
        machine = discover_machine(proc, sysfs)
        name = node if kind == "proc" else settings.node or _vm_id(sysfs)
        return [procfs.ProcSource(name, proc, sysfs, interval_seconds=every, machine=machine)]
    if kind == "rapl" and not rest:
        return [rapl.RaplSource(node, sysfs, interval_seconds=every)]
    if kind == "acpi" and not rest:
        return [hwmon.HwmonSource(node, sysfs, interval_seconds=every)]
    if kind == "kepler" and rest:
        if not metered:
            return [KeplerSource(rest, settings.node or None, every)]
        return [OnlyUsage(KeplerSource(rest, node, every, discover_machine(proc, sysfs)))]
    if kind in ("trace", "recorded") and rest:
        pace: Pace = "fastest" if kind == "trace" else "recorded"
        return [TraceSource(Path(rest), settings.node or "trace", pace=pace)]
    if kind == "prometheus" and rest:
        return [PrometheusJsonSource(Path(rest), settings.node or None)]
    raise MisuseError(f"source {word!r} is unknown; known are {', '.join(SPELLINGS)}")


def _vm_id(sysfs: Path) -> str:
    try:
        return vm_id(sysfs)
    except SourceUnavailableError as error:
        raise MisuseError(f"source 'guest': {error}") from error


def _spelled(word: str) -> str:
    """The word in full, where a file's or an address's look says what it is."""
    if word.startswith(("http://", "https://")):
        return f"kepler:{word}"
    if ":" not in word and word.endswith(".csv"):
        return f"trace:{word}"
    if ":" not in word and word.endswith(".json"):
        return f"prometheus:{word}"
    return word


def _simulated(word: str, kind: str, rest: str, every: float, past_seconds: float) -> list[Source]:
    if kind == "sim-host":
        hosts, start = _count(word, rest, "hosts"), time.time() - past_seconds
        return [SimulatedHosts(hosts, interval_seconds=every, start=start, speed=0.0)]
    if not rest and past_seconds > 0:
        start = time.time() - past_seconds
        return [SimulatedSource(interval_seconds=every, start=start, speed=0.0)]
    if not rest:
        return [SimulatedSource(interval_seconds=every)]
    return list(simulated_fleet(_count(word, rest, "nodes"), interval_seconds=every))


def _count(word: str, rest: str, what: str) -> int:
    """How many of them; one, unless that is said."""
    if rest and not (rest.isdecimal() and int(rest) >= 1):
        raise MisuseError(f"source {word!r}: {rest!r} is no number of {what}")
    return int(rest or 1)


def automatic(settings: Settings, kepler_ports: Sequence[int] = _KEPLER_PORTS) -> list[str]:
    """The words for what this machine has: meters with Kepler or /proc, else a simulated node."""
    sysfs, proc = Path(settings.sysfs), Path(settings.procfs)
    meters = []
    if rapl.found(sysfs):
        refused = rapl.denied(sysfs)
        if refused is None:
            meters.append("rapl")
        else:
            _log.warning("%s", refused)
    if hwmon.found(sysfs):
        meters.append("acpi")
    kepler, metered = _kepler_here(kepler_ports)
    if not meters and metered:
        _log.info("no power meter can be read here but by Kepler: reading %s", kepler)
        return [kepler]
    if not meters:
        _log.warning(
            "no power meter can be read here (RAPL, ACPI): showing a simulated node instead"
        )
        return ["sim"]
    usage = kepler or ("proc" if procfs.found(proc) else "")
    if not usage:
        _log.warning("there is power but neither Kepler nor %s: showing a simulated node", proc)
        return ["sim"]
    words = [usage, *meters]
    _log.info("reading what this machine has: %s", ", ".join(words))
    return words


def _kepler_here(ports: Sequence[int]) -> tuple[str, bool]:
    """The word for a Kepler exporter that answers at one of these ports, if one does.

    And whether it measures power: without a meter of its own it has usage alone.
    """
    for port in ports:
        url = f"http://127.0.0.1:{port}/metrics"
        source = KeplerSource(url, timeout_seconds=0.5, clock=time.time)
        try:
            records = source.poll() or []
        except SourceUnavailableError:
            continue
        else:
            return f"kepler:{url}", any(isinstance(one, PowerRecord) for one in records)
        finally:
            source.close()
    return "", False
