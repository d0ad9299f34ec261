"""The estimator's own numbers in Prometheus's text format, without a library for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, TypeAlias

from estimator import __version__
from estimator.choosing.choice import Entry
from estimator.kepler_socket.counts import ERROR_KINDS, LATENCY_BOUNDS_SECONDS, Counts

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Sample: TypeAlias = tuple[str, Mapping[str, str], float]
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def export(counts: Counts, entries: Sequence[Entry], now_seconds: float) -> str:
    """All series as of now; ``now_seconds`` is Unix time."""
    return "".join(_families(counts, entries, now_seconds))


def _families(counts: Counts, entries: Sequence[Entry], now_seconds: float) -> Iterator[str]:
    prefix = "wattstream_estimator_"
    yield _family(
        f"{prefix}build_info",
        "gauge",
        "Always 1; the label says which release this is.",
        [("", {"version": __version__}, 1)],
    )
    for name, help_text, value in (
        ("requests_total", "Requests that were answered.", counts.requests),
        ("rows_total", "Rows of the requests that were answered.", counts.rows),
        ("connections_total", "Connections that were accepted.", counts.connections),
        ("refreshes_total", "Looks for new models.", counts.refreshes),
        ("refresh_failures_total", "Looks for new models that failed.", counts.refresh_failures),
    ):
        yield _family(prefix + name, "counter", help_text, [("", {}, value)])
    yield _family(
        f"{prefix}errors_total",
        "counter",
        "What went wrong with requests and connections, by kind.",
        [("", {"kind": kind}, counts.errors.get(kind, 0)) for kind in ERROR_KINDS],
    )
    yield _family(
        f"{prefix}open_connections",
        "gauge",
        "Connections that are open now.",
        [("", {}, counts.open_connections)],
    )
    yield _latency(f"{prefix}request_duration_seconds", counts)
    yield _family(f"{prefix}models", "gauge", "Models that are served.", [("", {}, len(entries))])
    if not entries:
        return
    labelled = [(_labels(entry), entry) for entry in entries]
    yield _family(
        f"{prefix}model_info",
        "gauge",
        "Always 1; the label digest says which version of the model is served.",
        [("", {**labels, "digest": entry.digest}, 1) for labels, entry in labelled],
    )
    yield _family(
        f"{prefix}model_age_seconds",
        "gauge",
        "Time since the last sample that the model has learned from.",
        [
            ("", labels, max(0.0, now_seconds - entry.manifest.at / 1000))
            for labels, entry in labelled
        ],
    )


def _latency(name: str, counts: Counts) -> str:
    # One copy: the counts go on while this is written.
    latencies, seconds = list(counts.latencies), counts.latency_seconds
    cumulative = list(accumulate(latencies))
    bounds = [*map(repr, LATENCY_BOUNDS_SECONDS), "+Inf"]
    samples: list[_Sample] = [
        ("_bucket", {"le": bound}, count) for bound, count in zip(bounds, cumulative, strict=True)
    ]
    samples += [("_sum", {}, seconds), ("_count", {}, cumulative[-1])]
    help_text = "Time from a request's last byte to its answer."
    return _family(name, "histogram", help_text, samples)


def _labels(entry: Entry) -> dict[str, str]:
    key = entry.manifest.key
    return {
        "node_type": key.node_type,
        "energy_source": key.source,
        "output_type": key.output_type,
        "feature_group": key.feature_group,
    }


def _family(name: str, kind: str, help_text: str, samples: Iterable[_Sample]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        lines.append(f"{name}{suffix}{{{inside}}} {value}" if inside else f"{name}{suffix} {value}")
    return "\n".join(lines) + "\n"
