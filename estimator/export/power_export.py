"""The export: looks, estimates, counts and writes the page, once every interval."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from estimator.export import writing
from estimator.export.estimating import Estimate, NodeEstimator
from estimator.export.exposition import Page, labelled
from estimator.export.families import OWN, family
from estimator.export.ledger_file import LedgerFile
from estimator.export.passing import drop_power, has_fake_meter, measured_zones, node_named_in
from estimator.export.pinning import Pinning
from estimator.export.reading import CPU_TIME, Reader, Reading
from estimator.system.discovery import read_cpuinfo
from estimator.system.machine_watch import MachineWatch
from estimator.system.memory import give_back_memory

_log = logging.getLogger(__name__)


class Policy(NamedTuple):
    """What is shown: the node's name (empty for Kepler's), and what becomes of weak estimates."""

    node: str
    host: str
    threshold: float = 0.7
    withhold: bool = False


class PowerExport:
    """A page of Kepler's series, made anew every interval by a thread of its own.

    Kepler's own page goes on unchanged (`passing`); zones that it does not measure are estimated.
    What is counted is on the disk before the page shows it. `page` may be called by any thread.
    """

    def __init__(
        self,
        reader: Reader,
        estimator: NodeEstimator,
        watch: MachineWatch,
        file: LedgerFile,
        policy: Policy,
        interval_seconds: float,
        *,
        proc: Path = Path("/proc"),
        sysfs: Path = Path("/sys"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader, self._estimator, self._file = reader, estimator, file
        self._watch = watch
        watch.tell(estimator.move)
        self._policy, self._interval, self._clock = policy, interval_seconds, clock
        self._proc, self._sysfs = proc, sysfs
        self._ledger = file.load()
        self._pinning = Pinning(proc, sysfs)
        self._cpus = read_cpuinfo(proc)
        self._at: float | None = None
        self._kepler_name = ""
        self._reason = ""
        self._counts = dict.fromkeys((n for n in OWN if n.endswith("_total")), 0)
        self._text = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)

    def page(self) -> str:
        """The page as it is now."""
        return self._text

    def start(self) -> None:
        """Begin: the first page is there at once, the first estimate an interval later."""
        self.tick()
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End the thread, after the interval under way."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        due = self._clock() + self._interval
        while not self._stop.wait(max(0.0, due - self._clock())):
            due = max(due + self._interval, self._clock())
            try:
                self.tick()
                give_back_memory()  # a page of thousands of lines was made of as many texts
            except Exception:  # noqa: BLE001  # the border of this thread: the page stays as it is
                _log.exception("the export has failed this time")

    def tick(self) -> None:
        """Look, estimate, count, write."""
        self._look_at_machine()
        reading = self._reader.read()
        now = self._clock()
        seconds, self._at = (0.0 if self._at is None else now - self._at), now
        page, measured = self._passed_on(reading)
        estimate = self._estimate(reading) if seconds > 0.0 else None
        low = self._low(estimate)
        self._count(reading, estimate, low, measured, seconds)
        self._file.save(self._ledger)
        self._write(page, reading, estimate, low)
        self._text = page.text()

    def _look_at_machine(self) -> None:
        self._watch.look()
        name = "wattstream_export_machine_changes_total"
        if self._counts[name] != self._watch.changes:
            self._counts[name] = self._watch.changes
            self._cpus = read_cpuinfo(self._proc)

    def _passed_on(self, reading: Reading) -> tuple[Page, set[str]]:
        """Kepler's page as far as it goes on, and the zones that it measures."""
        if reading.page is None:
            return Page(), set()
        self._kepler_name = node_named_in(reading.page) or self._kepler_name
        if has_fake_meter(reading.page):
            drop_power(reading.page)
        return reading.page, measured_zones(reading.page)

    def _estimate(self, reading: Reading) -> Estimate | None:
        estimate = self._estimator.estimate(reading.rates) if reading.rates else None
        if estimate is not None:
            self._counts["wattstream_export_estimates_total"] += 1
        elif reading.rates:
            self._counts["wattstream_export_without_model_total"] += 1
            if self._reason != self._estimator.reason:
                _log.warning("power is not estimated: %s", self._estimator.reason)
        self._reason = self._estimator.reason
        return estimate

    def _low(self, estimate: Estimate | None) -> dict[str, bool]:
        if estimate is None:
            return {}
        return {
            zone: trust.score < self._policy.threshold for zone, trust in estimate.trust.items()
        }

    def _count(
        self,
        reading: Reading,
        estimate: Estimate | None,
        low: dict[str, bool],
        measured: set[str],
        seconds: float,
    ) -> None:
        power = {}
        if estimate is not None:
            withheld = {zone for zone in low if low[zone] and self._policy.withhold}
            power = {
                zone: watts
                for zone, watts in estimate.power.items()
                if zone not in measured and zone not in withheld
            }
            self._ledger.zones = set(power)
            self._ledger.model = estimate.entry.manifest.key.slug
        self._ledger.draw(power, seconds)
        if reading.workloads is not None and reading.shares is not None:
            self._ledger.share(reading.shares.parts, reading.workloads)
        else:
            self._ledger.withhold_shares()
        vms = reading.workloads.seconds if reading.workloads is not None else ()
        trusts = estimate.trust.values() if estimate is not None else ()
        error = max((trust.mape for trust in trusts if trust.mape is not None), default=None)
        self._pinning.update(reading.rates, error, [one.pid for one in vms if one.vm_id])

    def _write(
        self, page: Page, reading: Reading, estimate: Estimate | None, low: dict[str, bool]
    ) -> None:
        node = self._policy.node or self._kepler_name or self._policy.host
        writing.write_node(page, self._ledger, node)
        if reading.workloads is not None:
            writing.write_workloads(page, self._ledger, reading.workloads, node)
            if reading.from_proc:
                writing.write_usage(page, reading.workloads, node)
        if reading.page is None:
            self._write_machine(page, node, reading.rates)
        if estimate is not None:
            writing.write_model(page, estimate, low)
        errors = dict(self._reader.errors)
        self._counts["wattstream_export_unlabelled_series_total"] = errors.pop("unlabelled", 0)
        prefix = "kepler_vm_feature_collection_"
        writing.write_values(page, f"{prefix}errors_total", errors, "feature")
        writing.write_values(page, f"{prefix}duration_seconds", self._reader.seconds, "feature")
        for name, value in (
            ("kepler_vm_cpu_pinning_enabled", int(self._pinning.enabled)),
            ("kepler_vm_cpu_isolation_ratio", self._pinning.isolation),
            ("kepler_vm_pinning_recommendation_score", self._pinning.score),
            ("wattstream_export_kepler_up", int(self._reader.up)),
            *self._counts.items(),
        ):
            writing.write_values(page, name, {"": value})

    def _write_machine(self, page: Page, node: str, rates: dict[str, float]) -> None:
        """What Kepler would say of the processors, where there is none."""
        lines = family(page, "kepler_node_cpu_info").lines
        for cpu in self._cpus:
            named = {
                "core_id": cpu.get("core id", ""),
                "model_name": cpu.get("model name", ""),
                "physical_id": cpu.get("physical id", ""),
                "processor": cpu["processor"],
                "vendor_id": cpu.get("vendor_id", ""),
            }
            lines.append(f"kepler_node_cpu_info{{{labelled(named)}}} 1")
        if CPU_TIME in rates and self._cpus:
            ratio = min(1.0, rates[CPU_TIME] / 1000.0 / len(self._cpus))
            labels = labelled({"node_name": node})
            family(page, "kepler_node_cpu_usage_ratio").lines.append(
                f"kepler_node_cpu_usage_ratio{{{labels}}} {ratio}"
            )
