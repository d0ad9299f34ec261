"""``GET /metrics``: how wrong each model is, and how the parts that make them fare.

Everything is read at the moment of the scrape, so that the series of a model end with it.
``docs/metrics.md`` describes each name.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import estimator
from estimator.choosing.catalog import Catalog, Entry
from estimator.learning.strangers import FIRST_CONTACT, TRANSFER
from estimator.model_key import ModelKey
from estimator.storage.model_index import BY_GATE, BY_HAND, ModelIndex
from server.monitoring.status import LearnerStatus, ShardStatus, SourceStatus, StatusProvider
from server.web.metric_families import FAMILIES

Values = tuple[str, tuple[str, ...], float]
"""A series: the family's name, its label values, its value."""


class WattstreamCollector(Collector):
    """Gives prometheus_client the catalog's models, if there is one, and the parts' status."""

    def __init__(
        self,
        catalog: Catalog | None,
        provider: StatusProvider,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._provider = provider
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """The families without series: names can be checked without a status."""
        return [family.empty() for family in FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """Every family that has series now."""
        metrics = {family.name: family.empty() for family in FAMILIES}
        for name, labels, value in self._values():
            metrics[name].add_metric(labels, value)
        return [metric for metric in metrics.values() if metric.samples]

    def _values(self) -> Iterator[Values]:
        status, now = self._provider.status(), self._clock()
        yield "wattstream_build_info", (estimator.__version__,), 1.0
        if self._catalog is not None:
            yield from _catalog_values(self._catalog, now)
        for source in status.sources or ():
            yield from _source_values(source)
        if status.learner is not None:
            yield from _learner_values(status.learner, now)


def _catalog_values(catalog: Catalog, now: float) -> Iterator[Values]:
    entries = catalog.entries
    yield "wattstream_store_up", (), float(catalog.last_error is None)
    yield "wattstream_models", (), float(len(entries))
    for entry in entries:
        # Imported models have no samples and no errors, and may be hundreds.
        if entry.manifest.key.imported:
            continue
        yield from _model_values(entry, now)
        index = catalog.indexes.get(entry.manifest.key.slug)
        if index is not None:
            yield from _version_values(index)


def _labels(key: ModelKey) -> tuple[str, ...]:
    return key.node_type, key.source, key.output_type, key.feature_group


def _version_values(index: ModelIndex) -> Iterator[Values]:
    labels = _labels(index.key)
    yield "wattstream_model_held_back_total", labels, float(index.held_back)
    yield "wattstream_model_held", labels, float(index.held_since is not None)
    yield "wattstream_model_pinned", labels, float(index.pinned)
    for reason in (BY_GATE, BY_HAND):
        count = float(index.rollbacks.get(reason, 0))
        yield "wattstream_model_rollbacks_total", (*labels, reason), count


def _model_values(entry: Entry, now: float) -> Iterator[Values]:
    manifest = entry.manifest
    labels = _labels(manifest.key)
    yield "wattstream_model_samples_total", labels, float(manifest.samples)
    yield "wattstream_model_artifact_age_seconds", labels, max(0.0, now - manifest.at / 1000)
    for component, horizons in manifest.errors.items():
        for horizon, errors in horizons.items():
            if horizon in _STRANGERS:
                mae = errors.get("mae")
                if mae is not None and math.isfinite(mae):
                    yield _STRANGERS[horizon], (*labels, component), mae
                continue
            for measure, (name, factor) in _MEASURES.items():
                value = errors.get(measure)
                if value is not None and math.isfinite(value):
                    yield name, (*labels, component, horizon), value * factor


_STRANGERS: Final[Mapping[str, str]] = {
    TRANSFER: "wattstream_model_transfer_mae_watts",
    FIRST_CONTACT: "wattstream_model_first_contact_mae_watts",
}

_MEASURES: Final = {
    "mae": ("wattstream_model_mae_watts", 1.0),
    "rmse": ("wattstream_model_rmse_watts", 1.0),
    "mape": ("wattstream_model_mape_ratio", 0.01),  # from percent
    "r2": ("wattstream_model_r2_ratio", 1.0),
    "bias": ("wattstream_model_bias_watts", 1.0),
}


def _source_values(source: SourceStatus) -> Iterator[Values]:
    labels = (source.name,)
    yield "wattstream_source_up", labels, float(source.up)
    yield "wattstream_source_since_timestamp_seconds", labels, source.since
    yield "wattstream_source_records_total", labels, float(source.records)
    yield "wattstream_source_errors_total", labels, float(source.errors)
    yield "wattstream_source_buffered_records", labels, float(source.buffered)
    yield "wattstream_source_dropped_records_total", labels, float(source.dropped)
    yield "wattstream_source_refused_records_total", labels, float(source.refused)


def _learner_values(learner: LearnerStatus, now: float) -> Iterator[Values]:
    yield "wattstream_learner_partitions", (), float(len(learner.shards))
    yield "wattstream_learner_fenced_total", (), float(learner.fenced)
    for shard in learner.shards:
        yield from _shard_values(shard)
    for one in learner.partitions:
        labels = (one.topic, str(one.partition))
        yield "wattstream_learner_lag_records", labels, float(one.lag)
        yield "wattstream_learner_position", labels, float(one.position)
    if learner.checkpoint is not None:
        age = max(0.0, now - learner.checkpoint.at)
        yield "wattstream_checkpoint_age_seconds", (), age
        yield "wattstream_checkpoint_duration_seconds", (), learner.checkpoint.duration_seconds
        yield "wattstream_checkpoint_size_bytes", (), float(learner.checkpoint.size_bytes)


def _shard_values(shard: ShardStatus) -> Iterator[Values]:
    partition = str(shard.partition)
    yield "wattstream_learner_records_total", (partition,), float(shard.records)
    yield "wattstream_learner_samples_total", (partition,), float(shard.samples)
    for reason, count in shard.dropped.items():
        yield "wattstream_learner_dropped_total", (reason, partition), float(count)
    for topic, count in shard.dead_letters.items():
        yield "wattstream_learner_dead_letters_total", (topic, partition), float(count)
    for drift in shard.drifts:
        labels = (*_labels(drift.key), partition)
        yield "wattstream_model_drifts_total", labels, float(drift.count)
        if drift.at is not None:
            yield "wattstream_model_last_drift_timestamp_seconds", labels, drift.at
    for guard in shard.guards:
        labels = (*_labels(guard.key), partition)
        yield "wattstream_model_clipped_samples_total", labels, float(guard.clipped)
        yield "wattstream_model_outliers_total", labels, float(guard.outliers)


class MetricsApi:
    """``GET /metrics``, in Prometheus's text format or OpenMetrics, as the scraper asks.

    What the collectors say, and what the client library says of the process.
    """

    def __init__(self, *collectors: Collector) -> None:
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def routes(self) -> list[BaseRoute]:
        """Where this answer is found."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """All series of this moment."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await run_in_threadpool(encode, self._registry)
        return Response(body, headers={"content-type": content_type})
