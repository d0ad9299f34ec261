"""What of Kepler's own page goes on unchanged: all of it, but for power that is made up."""

from __future__ import annotations

from estimator.export.exposition import Page
from estimator.export.families import POWER
from estimator.system.fake_meter import is_fake


def has_fake_meter(page: Page) -> bool:
    """Whether Kepler's power is that of its fake meter: noise, as it says itself."""
    for name in ("kepler_node_cpu_joules_total", "kepler_node_cpu_watts"):
        paths = [sample.labels.get("path", "") for sample in page.samples(name)]
        if paths:
            return all(map(is_fake, paths))
    return False


def measured_zones(page: Page) -> set[str]:
    """The zones that Kepler measures, and of which nothing is estimated therefore."""
    names = ("kepler_node_cpu_joules_total", "kepler_node_cpu_watts")
    return {
        sample.labels.get("zone", "").lower() for name in names for sample in page.samples(name)
    }


def drop_power(page: Page) -> None:
    """Take the series of power and energy of processors from the page."""
    for name in POWER:
        page.families.pop(name, None)


def node_named_in(page: Page) -> str:
    """What Kepler calls the node; empty if it does not say."""
    for name in ("kepler_node_cpu_usage_ratio", "kepler_node_cpu_joules_total"):
        for sample in page.samples(name):
            if sample.labels.get("node_name"):
                return sample.labels["node_name"]
    return ""
