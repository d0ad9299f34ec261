"""A Kepler exporter, scraped over HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import httpx

from estimator.errors import SourceUnavailableError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from stream.records import UsageRecord
from stream.sources.http import Page, fetch, page_url, shown_url
from stream.sources.kepler_exposition import ACCEPT, Families, read_exposition
from stream.sources.kepler_mapping import SCRAPED, KeplerMapper, node_named_in
from stream.sources.protocol import Record

_log = logging.getLogger(__name__)

STUCK_SECONDS: Final = 60.0
"""An exporter whose counters have stood still for so long is out of order."""


class KeplerSource:
    """Gives one usage record, and one power record for each energy source, at every poll.

    It gives nothing where the exporter has not renewed its page since the last poll.

    Reads releases 0.7 to 0.9 and 0.10 and later, told apart by what they expose. The node is the
    one named here, else the one that the exporter's labels name, else the URL's host. Records
    have the time of the middle of the request. ``skipped`` counts values set aside (NaN,
    infinite or negative).
    """

    def __init__(
        self,
        url: str,
        node: str | None = None,
        interval_seconds: float = 3.0,
        machine: MachineSpec = UNKNOWN_MACHINE,
        clock: Callable[[], float] = time.time,
        client: httpx.Client | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        self._url = page_url(url)
        self._shown = shown_url(self._url)
        self._node = node
        self._interval_seconds = interval_seconds
        self._machine = machine
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._owns_client = client is None
        # Exporters are scraped directly, as Prometheus does, whatever proxy the shell has.
        self._client = client if client is not None else httpx.Client(trust_env=False)
        self._mapper: KeplerMapper | None = None
        self._is_named = False
        self._renewed_at = 0
        self._has_usage = True
        self.skipped = 0

    @property
    def name(self) -> str:
        """Kepler, with its URL."""
        return f"kepler {self._shown}"

    @property
    def interval_seconds(self) -> float | None:
        """How often to scrape."""
        return self._interval_seconds

    def poll(self) -> list[Record] | None:
        """Scrape once; ``SourceUnavailableError`` names the URL and what came instead."""
        page = fetch(self._client, self._url, ACCEPT, self._timeout_seconds, self._clock)
        families = self._read(page)
        mapper = self._mapper_for(families)
        records = mapper.records(families, page.at)
        if not mapper.renewed:
            self._check_stuck(page.at)
            return []
        self._renewed_at = page.at
        if not records:
            raise SourceUnavailableError(
                f"{self._shown} exposes neither usage of workloads nor measured energy"
            )
        self._look_for_usage(records)
        return records

    def close(self) -> None:
        """Close the connections, unless they belong to the caller's client."""
        if self._owns_client:
            self._client.close()

    def _look_for_usage(self, records: list[Record]) -> None:
        has_usage = any(isinstance(record, UsageRecord) for record in records)
        if self._has_usage and not has_usage:
            _log.warning(
                "%s shows energy and no usage of processes or containers: unless another source"
                " says what the node does, nothing is learned (Kepler 0.10 and later: its"
                " metricsLevel needs process)",
                self._shown,
            )
        self._has_usage = has_usage

    def _check_stuck(self, at: int) -> None:
        seconds = (at - self._renewed_at) / 1000
        if seconds > STUCK_SECONDS:
            raise SourceUnavailableError(
                f"{self._shown} has shown the same page for {seconds:.0f} s: no counter has moved"
            )

    def _read(self, page: Page) -> Families:
        try:
            exposition = read_exposition(page.text, page.content_type, SCRAPED)
        except ValueError as error:
            reason = " ".join(str(error).split())[:200] or "no reason given"
            raise SourceUnavailableError(
                f"{self._shown} sent what is no page of metrics: {reason}"
            ) from error
        if not exposition.families:
            raise SourceUnavailableError(f"{self._shown} sent {_without_series(page)}")
        self.skipped += exposition.skipped
        return exposition.families

    def _mapper_for(self, families: Families) -> KeplerMapper:
        """The mapper, once the node is known; the first name stays, a host's name never does."""
        if self._mapper is not None and self._is_named:
            return self._mapper
        labels = (sample.labels for samples in families.values() for sample in samples)
        named = self._node or node_named_in(labels)
        if self._mapper is None or named:
            self._mapper = KeplerMapper(named or httpx.URL(self._url).host, self._machine)
            self._is_named = bool(named)
        return self._mapper


def _without_series(page: Page) -> str:
    """What a page without a series that is used looks like."""
    head = page.text[:512].lstrip().lower()
    if "html" in page.content_type or head.startswith(("<!doctype", "<html")):
        return "HTML, no page of metrics"
    if not head:
        return "an empty page"
    if "kepler_" in page.text:
        return "series of Kepler, but neither usage nor energy"
    return f"no series of Kepler ({len(page.text)} characters of {page.content_type or 'text'})"
