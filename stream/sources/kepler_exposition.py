"""An exporter's page of metrics as samples: only the series that are used, only sane values."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

ACCEPT: Final = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5"
"""What to ask for: the classic format can be read a line at a time, so it is much cheaper."""
_OF_PROCESSES: Final = "kepler_process_cpu_joules_total"
_NO_VM: Final = 'vm_id=""'


class Sample(NamedTuple):
    """One value of one series; the name goes without ``_total``."""

    name: str
    labels: Mapping[str, str]
    value: float


Families = Mapping[str, Sequence[Sample]]
"""The samples of one scrape by name."""


class Exposition(NamedTuple):
    """A page's samples by name; ``skipped`` values were NaN, infinite or negative."""

    families: Families
    skipped: int


def bare_name(name: str) -> str:
    """The name without the suffix of counters, which parsers add and Kepler puts on gauges too.

    >>> bare_name("kepler_node_info_total"), bare_name("kepler_node_cpu_watts")
    ('kepler_node_info', 'kepler_node_cpu_watts')
    """
    return name.removesuffix("_total")


def is_sane(value: float) -> bool:
    """Whether a counter or a gauge of Kepler's can have that value: finite and not negative."""
    return math.isfinite(value) and value >= 0


def read_exposition(text: str, content_type: str, wanted: Collection[str]) -> Exposition:
    r"""Read the wanted series (bare names) of a page; ``ValueError`` if it cannot be parsed.

    >>> page = 'go_threads 9\nkepler_node_info{cpu_architecture="Broadwell"} 1\n'
    >>> read_exposition(page, "text/plain", {"kepler_node_info"}).families["kepler_node_info"]
    [Sample(name='kepler_node_info', labels={'cpu_architecture': 'Broadwell'}, value=1.0)]
    """
    if content_type.startswith("application/openmetrics-text"):
        # The library has no types for this one.
        metrics: Iterable[Metric] = parse_openmetrics(text)  # type: ignore[no-untyped-call]
    else:
        metrics = parse_text("\n".join(_wanted_lines(text, wanted)))
    families: dict[str, list[Sample]] = {}
    skipped = 0
    for sample in _samples(metrics):
        if sample.name not in wanted:
            continue
        if is_sane(sample.value):
            families.setdefault(sample.name, []).append(sample)
        else:
            skipped += 1
    return Exposition(families, skipped)


def _samples(metrics: Iterable[Metric]) -> Iterator[Sample]:
    try:
        for metric in metrics:
            for sample in metric.samples:
                yield Sample(bare_name(sample.name), sample.labels, float(sample.value))
    except (IndexError, KeyError, TypeError, AttributeError) as error:  # the parser's, on garbage
        raise ValueError(f"not in the exposition format: {error!r}") from error


def _wanted_lines(text: str, wanted: Collection[str]) -> Iterator[str]:
    """The lines of wanted series alone: parsing costs some 40 us a line, and most are not used.

    Lines of type and help go too, since the parser renames series by their declared type. Of the
    joules of processes only those of virtual machines are used.
    """
    for line in text.split("\n"):  # the only end of a line here; labels may hold the others
        if line.startswith("kepler_"):
            name = line.partition("{")[0].partition(" ")[0]
            if bare_name(name) in wanted and not (name == _OF_PROCESSES and _NO_VM in line):
                yield line
