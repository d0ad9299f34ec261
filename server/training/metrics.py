"""What the offline trainer shows of its runs to Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

import estimator
from server.training.jobs import Jobs
from server.web.metric_families import Family

FAMILIES: Final = (
    Family(
        "wattstream_build_info", "Always 1; the label says which release this is.", ("version",)
    ),
    Family(
        "wattstream_training_jobs",
        "Training runs that are known now, by state: receiving, queued, running, done, failed.",
        ("state",),
    ),
    Family(
        "wattstream_training_ended_total",
        "Training runs that ended, by outcome: done, failed; and requests refused as too many.",
        ("outcome",),
    ),
)


class TrainingCollector(Collector):
    """Gives prometheus_client the jobs' numbers."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def describe(self) -> Iterable[Metric]:
        """The families without series."""
        return [family.empty() for family in FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        build, states, ended = (family.empty() for family in FAMILIES)
        build.add_metric((estimator.__version__,), 1.0)
        for state, count in self._jobs.states().items():
            states.add_metric((state,), count)
        for outcome, count in self._jobs.counts.items():
            ended.add_metric((outcome,), count)
        return [build, states, ended]
