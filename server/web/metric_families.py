"""The metrics that the server exports; ``docs/metrics.md`` describes the same names."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

_MODEL: Final = ("node_type", "energy_source", "output_type", "feature_group")
_ERROR: Final = (*_MODEL, "component", "horizon_seconds")


class Family(NamedTuple):
    """One metric: the name as it is queried, what it means, and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    histogram: bool = False

    @property
    def kind(self) -> Literal["counter", "gauge", "histogram"]:
        """Counters are those that end in ``_total``, as Prometheus wants it."""
        if self.histogram:
            return "histogram"
        return "counter" if self.name.endswith("_total") else "gauge"

    def empty(self) -> CounterMetricFamily | GaugeMetricFamily:
        """The metric without any series yet, to which values can be added."""
        made = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        return made(self.name, self.help, labels=self.labels)

    def described(self) -> Metric:
        """The metric without any series, of any kind."""
        if self.histogram:
            return HistogramMetricFamily(self.name, self.help, labels=self.labels)
        return self.empty()


FAMILIES: Final = (
    Family(
        "wattstream_build_info", "Always 1; the label says which release this is.", ("version",)
    ),
    Family("wattstream_store_up", "Whether the store could be read at the last attempt (0 or 1)."),
    Family("wattstream_models", "Models that are served."),
    Family(
        "wattstream_model_samples_total", "Samples that the served model has learned from.", _MODEL
    ),
    Family(
        "wattstream_model_artifact_age_seconds",
        "Time since the last sample that the served model has learned from.",
        _MODEL,
    ),
    Family(
        "wattstream_model_held_back_total",
        "Versions that were held back because they were worse than the current one.",
        _MODEL,
    ),
    Family(
        "wattstream_model_held",
        "Whether new versions are held back now because they are worse (0 or 1).",
        _MODEL,
    ),
    Family(
        "wattstream_model_pinned",
        "Whether the current version is pinned, so that no other becomes current (0 or 1).",
        _MODEL,
    ),
    Family(
        "wattstream_model_rollbacks_total",
        "Times that an older version was made current, by reason: worse or manual.",
        (*_MODEL, "reason"),
    ),
    Family("wattstream_model_mae_watts", "Mean absolute error of the recent past.", _ERROR),
    Family("wattstream_model_rmse_watts", "Root mean square error of the recent past.", _ERROR),
    Family("wattstream_model_mape_ratio", "Mean absolute error over measured power.", _ERROR),
    Family("wattstream_model_r2_ratio", "Share of the variance that the model explains.", _ERROR),
    Family("wattstream_model_bias_watts", "Mean of estimate minus measurement.", _ERROR),
    Family(
        "wattstream_model_transfer_mae_watts",
        "Mean absolute error on nodes that the model never learns from.",
        (*_MODEL, "component"),
    ),
    Family(
        "wattstream_model_first_contact_mae_watts",
        "Mean absolute error on nodes in their first minutes, before they are learned from.",
        (*_MODEL, "component"),
    ),
    Family("wattstream_source_up", "Whether the source gives readings now (0 or 1).", ("source",)),
    Family(
        "wattstream_source_since_timestamp_seconds",
        "When the source came up or went down, in Unix time.",
        ("source",),
    ),
    Family("wattstream_source_records_total", "Records that the source published.", ("source",)),
    Family("wattstream_source_errors_total", "Times that the source failed.", ("source",)),
    Family(
        "wattstream_source_buffered_records",
        "Records of the source that wait for the log.",
        ("source",),
    ),
    Family(
        "wattstream_source_dropped_records_total",
        "Records that were lost because the log was away for longer than the buffer holds.",
        ("source",),
    ),
    Family(
        "wattstream_source_refused_records_total",
        "Records that the log will never take, since they are too large.",
        ("source",),
    ),
    Family(
        "wattstream_learner_partitions",
        "Partitions that are this learner's now; the group's add up to all of them.",
    ),
    Family(
        "wattstream_learner_fenced_total",
        "Times that this learner found a shard taken over by another.",
    ),
    Family(
        "wattstream_learner_records_total",
        "Records of the partition that were read, by whichever learner.",
        ("partition",),
    ),
    Family(
        "wattstream_learner_samples_total",
        "Samples of the partition that were learned from or, of held-out and new nodes, only "
        "scored, by whichever learner.",
        ("partition",),
    ),
    Family(
        "wattstream_learner_dropped_total",
        "What did not become a sample, by reason: late, orphaned, duplicate and others.",
        ("reason", "partition"),
    ),
    Family(
        "wattstream_learner_dead_letters_total",
        "Records that could not be read, by the topic that they came from.",
        ("topic", "partition"),
    ),
    Family(
        "wattstream_model_drifts_total",
        "Times that the model's errors were seen to rise for good, and it forgot.",
        (*_MODEL, "partition"),
    ),
    Family(
        "wattstream_model_last_drift_timestamp_seconds",
        "Event time of the model's last drift.",
        (*_MODEL, "partition"),
    ),
    Family(
        "wattstream_model_clipped_samples_total",
        "Samples with a feature beyond the range that the model had seen.",
        (*_MODEL, "partition"),
    ),
    Family(
        "wattstream_model_outliers_total",
        "Samples that were set aside: a component above ten times its greatest power so far.",
        (*_MODEL, "partition"),
    ),
    Family(
        "wattstream_learner_lag_records",
        "Records in the log that the learner has not read yet.",
        ("topic", "partition"),
    ),
    Family(
        "wattstream_learner_position",
        "Offset of the next record that the learner will read.",
        ("topic", "partition"),
    ),
    Family("wattstream_checkpoint_age_seconds", "Time since the last checkpoint."),
    Family("wattstream_checkpoint_duration_seconds", "How long the last checkpoint took."),
    Family("wattstream_checkpoint_size_bytes", "How large the last checkpoint is."),
)
"""Every metric there is, in the order of the answer."""
