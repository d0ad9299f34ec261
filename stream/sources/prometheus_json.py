"""A recorded Prometheus range-query answer, read as if its Kepler exporters were scraped again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from sys import intern
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from estimator.errors import MisuseError, WattstreamError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from stream.sources.kepler_exposition import Sample
from stream.sources.kepler_mapping import (
    ENERGY_SERIES,
    LABELS,
    NODE_LABELS,
    SERIES,
    USAGE_SERIES,
    KeplerMapper,
    measures,
)
from stream.sources.prometheus_series import SeriesMeta, SeriesTable, read_series
from stream.sources.prometheus_targets import TARGET_LABELS, Targets, find_targets
from stream.sources.protocol import Record

BATCH_SCRAPES: Final = 256
BATCH_POINTS: Final = 250_000
"""How many scrape times, and about how many values, a poll returns at most."""

_NAME_LABELS: Final = ("container_id", "pod_name", "container_name", "container_namespace")
"""What a container is called, in the order in which kepler-model-server puts it together."""
_KEPT_LABELS: Final = frozenset((*LABELS, *NODE_LABELS, *TARGET_LABELS))


class _Scrape(NamedTuple):
    """The records of one time, and of how many points they were made."""

    records: list[Record]
    points: int


class PrometheusJsonSource:
    """Gives, for each time in the answer, the records that a scrape at that time would give.

    The nodes are those that the series' labels name, unless ``node`` names the only one. Series
    may lack points, start late and end early. ``skipped`` counts values set aside, ``points`` are
    those that were read and ``polled`` those of them that records have been made of; ``names`` says
    what containers are called, by their ids, from the first poll on. The answer is a file, or what
    a file would hold, parsed or as it is; ``read_series`` says which formats it may have. Errors
    call it ``shown``.
    """

    def __init__(
        self,
        answer: Path | str | Mapping[str, Any] | msgspec.Raw,
        node: str | None = None,
        machine: MachineSpec = UNKNOWN_MACHINE,
        shown: str = "",
    ) -> None:
        is_file = isinstance(answer, Path | str)
        self._answer = Path(answer) if isinstance(answer, str) else answer
        self._shown = shown or (str(answer) if is_file else "Prometheus answer")
        if isinstance(self._answer, Path) and not self._answer.is_file():
            raise MisuseError(f"{self._shown}: there is no such file")
        self._node = node
        self._machine = machine
        self._scrapes: Iterator[_Scrape] | None = None
        self.skipped = self.points = self.polled = 0
        self.names: dict[str, str] = {}

    @property
    def name(self) -> str:
        """Prometheus, with the file."""
        return f"prometheus {self._shown}"

    @property
    def interval_seconds(self) -> float | None:
        """None: as fast as it can be read."""
        return None

    def poll(self) -> list[Record] | None:
        """The records of the next times, in order of time; None at the end.

        The first call reads the file; ``WattstreamError`` says where and why it cannot be used.
        """
        if self._scrapes is None:
            self._scrapes = self._read()
        batch: list[Record] = []
        points = 0
        for scrape in itertools.islice(self._scrapes, BATCH_SCRAPES):
            batch += scrape.records
            points += scrape.points
            if points >= BATCH_POINTS:
                break
        self.polled += points
        return batch if points else None

    def close(self) -> None:
        """Give back the memory; nothing comes any more."""
        self._scrapes = iter(())

    def _read(self) -> Iterator[_Scrape]:
        table = read_series(self._bytes(), self._shown, SERIES, self._keep)
        self.skipped, self.points = table.skipped, len(table.values)
        targets = find_targets(table, self._shown, self._node)
        mappers = [KeplerMapper(node, self._machine) for node in targets.nodes]
        return _scrapes(table, targets, mappers)

    def _keep(self, name: str, labels: Mapping[str, str]) -> SeriesMeta | None:
        identity = labels.get("container_id")
        if identity and name in USAGE_SERIES and identity not in self.names:
            self.names[identity] = "/".join(labels.get(label, "") for label in _NAME_LABELS)
        return _kept(name, labels)

    def _bytes(self) -> bytes:
        try:
            if isinstance(self._answer, msgspec.Raw):
                return self._answer
            if isinstance(self._answer, Path):
                return self._answer.read_bytes()
            return msgspec.json.encode(self._answer)
        except OSError as error:
            raise WattstreamError(f"{self._shown}: {error.strerror or error}") from error
        except TypeError as error:
            raise WattstreamError(f"{self._shown}: is no JSON: {error}") from error


def _kept(name: str, labels: Mapping[str, str]) -> SeriesMeta | None:
    """The series with the labels that are used; energy only where it is measured."""
    if name in ENERGY_SERIES and not measures(name, labels):
        return None
    used = {intern(key): intern(labels[key]) for key in labels if key in _KEPT_LABELS}
    return SeriesMeta(intern(name), used)


def _scrapes(
    table: SeriesTable, targets: Targets, mappers: list[KeplerMapper]
) -> Iterator[_Scrape]:
    """The records of each time, nodes in the order of their names."""
    starts = np.flatnonzero(np.diff(table.times_ms, prepend=-1)).tolist()
    for start, end in itertools.pairwise([*starts, len(table.times_ms)]):
        by_node: dict[str, list[Record]] = {}
        for target, families in sorted(_families(table, targets, start, end).items()):
            records = mappers[target].records(families, int(table.times_ms[start]))
            if records or not mappers[target].renewed:
                # Of two exporters on one node, the one that started later, even where it has
                # nothing new: the other's series linger for some minutes after its end.
                by_node[targets.nodes[target]] = records
        yield _Scrape([each for node in sorted(by_node) for each in by_node[node]], end - start)


def _families(
    table: SeriesTable, targets: Targets, start: int, end: int
) -> dict[int, dict[str, list[Sample]]]:
    """The points of one time as each target's page: its samples by name."""
    pages: dict[int, dict[str, list[Sample]]] = {}
    values = table.values[start:end].tolist()
    for series, value in zip(table.series[start:end].tolist(), values, strict=True):
        name, labels = table.meta[series]
        page = pages.setdefault(targets.by_series[series], {})
        page.setdefault(name, []).append(Sample(name, labels, value))
    return pages
