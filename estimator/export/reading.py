"""One look at this machine: Kepler's page where there is one, and ``/proc``."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from estimator.errors import SourceUnavailableError
from estimator.export.exposition import Page
from estimator.export.node_rates import NodeRates
from estimator.export.proc_workloads import ProcWorkloads
from estimator.export.scrape import KeplerScrape
from estimator.export.shares import Shares, ShareTracker
from estimator.export.workloads import Workloads, workloads_of
from estimator.system.node_counters import NodeCounters
from estimator.vocabulary import FEATURE_GROUPS

LOOK_AGAIN_SECONDS: Final = 60.0
"""So often a Kepler that has never answered is looked for."""
CPU_TIME: Final = "bpf_cpu_time_ms"
USAGE_RATIO: Final = "kepler_node_cpu_usage_ratio"

_log = logging.getLogger(__name__)


class Reading(NamedTuple):
    """What was seen. ``rates`` by feature; ``workloads`` and ``shares`` where they are known.

    ``page`` is Kepler's, ``from_proc`` says that the workloads are not from there.
    """

    page: Page | None
    rates: dict[str, float]
    workloads: Workloads | None
    shares: Shares | None
    from_proc: bool


class Reader:
    """Looks at the machine again and again; whatever cannot be read is said once and counted.

    Workloads are Kepler's from the first time that it shows any, else those of ``/proc``: the
    labels must not change to and fro. ``up`` says whether Kepler answered, ``errors`` and
    ``seconds`` are counts of failures and times of reading by feature.
    """

    def __init__(
        self,
        kepler: KeplerScrape | None,
        proc: Path = Path("/proc"),
        sysfs: Path = Path("/sys"),
        *,
        certain: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``certain`` that there is a Kepler: it is asked each time, and missed."""
        self._kepler, self._certain = kepler, certain
        self._counters = NodeCounters(proc, sysfs)
        self._processes = ProcWorkloads(proc)
        self._clock = clock
        self._rates, self._shares = NodeRates(), ShareTracker()
        self._shared_at = 0.0
        self._not_before = 0.0
        self._of_kepler = certain
        self._complaints: dict[str, str] = {}
        self.up = False
        self.errors: Counter[str] = Counter({"node_stat": 0, "workloads": 0})
        self.seconds: dict[str, float] = {}

    def read(self) -> Reading:
        """Look once."""
        page = self._page()
        workloads, from_proc = self._workloads(page)
        at = self._clock()
        rates = self._node(at)
        for sample in page.samples(USAGE_RATIO) if page is not None else ():
            rates["cpu_usage_ratio"] = sample.value
        if workloads is None:
            return Reading(page, rates, None, None, from_proc)
        shares = self._shares.update(workloads.seconds)
        elapsed, self._shared_at = at - self._shared_at, at
        if shares is not None and not from_proc and elapsed > 0.0:
            rates[CPU_TIME] = shares.seconds * 1000.0 / elapsed
        return Reading(page, rates, workloads, shares, from_proc)

    def _page(self) -> Page | None:
        if self._kepler is None or self._clock() < self._not_before:
            return None
        started = time.perf_counter()
        try:
            page = self._kepler.fetch()
        except SourceUnavailableError as error:
            self.up = False
            if self._certain:
                self._complain("kepler", f"{error}; estimating without it")
            else:
                self._not_before = self._clock() + LOOK_AGAIN_SECONDS
            return None
        self.seconds["kepler"] = time.perf_counter() - started
        self.up, self._certain = True, True
        self._over("kepler", "Kepler answers")
        return page

    def _workloads(self, page: Page | None) -> tuple[Workloads | None, bool]:
        found = workloads_of(page) if page is not None else None
        if found is not None and found.unlabelled:
            self.errors["unlabelled"] += found.unlabelled
        if found is not None and found.seconds:
            if not self._of_kepler:
                self._shares.forget()
            self._of_kepler = True
            self._over("workloads", "Kepler shows the processor time of processes")
            return found, False
        if self._of_kepler and (page is None or found is None or not self.up):
            return None, False
        if page is not None and self._of_kepler:
            self.errors["workloads"] += 1
            self._complain(
                "workloads",
                "Kepler shows no processor time of processes (0.10 and later do, with the metrics"
                " level process): power is not shared",
            )
            return None, False
        started = time.perf_counter()
        try:
            found = self._processes.read()
        except SourceUnavailableError as error:
            self.errors["workloads"] += 1
            self._complain("workloads", f"{error}; power is not shared")
            return None, True
        self.seconds["workloads"] = time.perf_counter() - started
        return found, True

    def _node(self, at: float) -> dict[str, float]:
        started = time.perf_counter()
        try:
            counters = self._counters.read()
        except SourceUnavailableError as error:
            self.errors["node_stat"] += 1
            self._complain("node_stat", str(error))
            return {}
        self.seconds["node_stat"] = time.perf_counter() - started
        for feature in FEATURE_GROUPS["NodeStat"]:
            if feature not in counters:
                self.errors[feature] += 1
        return self._rates.update(counters, at)

    def _complain(self, what: str, reason: str) -> None:
        if what not in self._complaints:
            _log.warning("%s", reason)
        self._complaints[what] = reason

    def _over(self, what: str, news: str) -> None:
        if self._complaints.pop(what, None) is not None:
            _log.info("%s again", news)
