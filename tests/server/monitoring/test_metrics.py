from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from server.monitoring.status import LearnerStatus, Status
from server.web import http_metrics
from server.web.metric_families import FAMILIES
from tests.compose.expressions import need_prometheus
from tests.server.conftest import Serve
from tests.server.fakes import AT, STATUS, FakeProvider, make_entry

_WITHOUT_SERIES = {
    "wattstream_model_r2_ratio",
    "wattstream_model_transfer_mae_watts",
    "wattstream_model_first_contact_mae_watts",
}
"""Families of which the model of these tests has no values."""

DOCUMENTED = (*FAMILIES, *http_metrics.FAMILIES)
DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


def _series(response: httpx.Response) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    assert response.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_format(response.text)
        for sample in family.samples
    }


def _names(response: httpx.Response) -> set[str]:
    return {name for name, _ in _series(response)}


def test_a_models_errors_and_samples(serve: Serve) -> None:
    series = _series(serve(make_entry(mae=1.5)).get("/metrics"))
    model = {
        "node_type": "intel_xeon_gold_6130-64c-2s-188g-2100m",
        "energy_source": "rapl-sysfs",
        "output_type": "AbsPower",
        "feature_group": "BPFOnly",
    }.items()
    assert series["wattstream_model_samples_total", frozenset(model)] == 1000
    assert series["wattstream_model_artifact_age_seconds", frozenset(model)] == 10
    now = frozenset({*model, ("component", "dram"), ("horizon_seconds", "0")})
    later = frozenset({*model, ("component", "dram"), ("horizon_seconds", "60")})
    assert series["wattstream_model_mae_watts", now] == 1.5
    assert series["wattstream_model_mae_watts", later] == 3.0
    assert series["wattstream_model_rmse_watts", now] == pytest.approx(1.875)
    assert series["wattstream_model_mape_ratio", now] == pytest.approx(0.05)
    assert series["wattstream_model_bias_watts", now] == -0.5
    # r2 is null in the manifest: there is no such series rather than a NaN.
    assert ("wattstream_model_r2_ratio", now) not in series


def test_what_is_held_back_pinned_and_rolled_back(serve: Serve) -> None:
    entry = make_entry()
    client = serve(entry)
    key = entry.manifest.key
    labels = {
        "node_type": key.node_type,
        "energy_source": key.source,
        "output_type": key.output_type,
        "feature_group": key.feature_group,
    }.items()

    def values() -> dict[str, float]:
        series = _series(client.get("/metrics"))
        names = ("held_back_total", "held", "pinned")
        found = {name: series[f"wattstream_model_{name}", frozenset(labels)] for name in names}
        for reason in ("worse", "manual"):
            labelled = frozenset({*labels, ("reason", reason)})
            found[reason] = series["wattstream_model_rollbacks_total", labelled]
        return found

    nothing = {"held_back_total": 0, "held": 0, "pinned": 0, "worse": 0, "manual": 0}
    assert values() == nothing
    index = client.catalog.indexes[key.slug]
    held = replace(index, held_since=5, held_back=3, rollbacks={"worse": 2})
    client.catalog.indexes = {key.slug: held}
    assert values() == {**nothing, "held_back_total": 3, "held": 1, "worse": 2}
    client.catalog.indexes = {key.slug: replace(index, pinned=True, rollbacks={"manual": 1})}
    assert values() == {**nothing, "pinned": 1, "manual": 1}


def test_the_series_of_a_model_end_with_it(serve: Serve) -> None:
    client = serve(make_entry())
    assert "wattstream_model_mae_watts" in _names(client.get("/metrics"))
    client.catalog.entries = ()
    names = _names(client.get("/metrics"))
    assert "wattstream_model_mae_watts" not in names
    assert "wattstream_models" in names


def test_the_parts_beside_the_server(serve: Serve) -> None:
    series = _series(serve(make_entry(), provider=FakeProvider()).get("/metrics"))

    def value(name: str, **labels: str) -> float:
        return series[f"wattstream_{name}", frozenset(labels.items())]

    assert value("source_up", source="sim") == 1
    assert value("source_up", source="kepler http://node7:9102/metrics") == 0
    assert value("source_errors_total", source="kepler http://node7:9102/metrics") == 3
    assert value("source_records_total", source="sim") == 120
    assert value("source_buffered_records", source="sim") == 0
    assert value("source_buffered_records", source="kepler http://node7:9102/metrics") == 31
    assert value("source_dropped_records_total", source="kepler http://node7:9102/metrics") == 9
    assert value("source_refused_records_total", source="kepler http://node7:9102/metrics") == 2
    assert value("learner_partitions") == 1
    assert value("learner_fenced_total") == 3
    assert value("learner_records_total", partition="0") == 164
    assert value("learner_samples_total", partition="0") == 80
    assert value("learner_dropped_total", reason="late", partition="0") == 2
    assert value("learner_dropped_total", reason="duplicate", partition="0") == 0
    assert value("learner_dead_letters_total", topic="wattstream.usage", partition="0") == 4
    assert value("learner_lag_records", topic="wattstream.usage", partition="0") == 7
    assert value("learner_position", topic="wattstream.power", partition="0") == 64
    assert value("checkpoint_age_seconds") == 18
    assert value("checkpoint_duration_seconds") == 0.025
    assert value("checkpoint_size_bytes") == 52_000


def test_a_server_alone_has_no_series_of_other_parts(serve: Serve) -> None:
    names = _names(serve(make_entry()).get("/metrics"))
    assert not [one for one in names if re.match(r"wattstream_(source|learner|checkpoint)_", one)]


def test_before_the_first_checkpoint_it_has_no_age(serve: Serve) -> None:
    provider = FakeProvider(Status(learner=LearnerStatus(records=1, samples=0)))
    names = _names(serve(provider=provider).get("/metrics"))
    assert "wattstream_learner_partitions" in names
    assert not [name for name in names if name.startswith("wattstream_checkpoint")]


def test_the_store_is_down_when_the_catalog_says_so(serve: Serve) -> None:
    client = serve()
    assert _series(client.get("/metrics"))["wattstream_store_up", frozenset()] == 1
    client.catalog.last_error = "store file:///gone cannot be read"
    assert _series(client.get("/metrics"))["wattstream_store_up", frozenset()] == 0


def test_openmetrics_for_those_who_ask(serve: Serve) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    client = serve(make_entry(), provider=FakeProvider(STATUS))
    response = client.get("/metrics", headers=accept)
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    families: list[Metric] = list(
        open_metrics(response.text)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    )
    ours = {family.name for family in families if family.name.startswith("wattstream_")}
    assert ours == {_base(family.name) for family in DOCUMENTED} - _WITHOUT_SERIES
    assert "process_resident_memory_bytes" in {family.name for family in families}


def _base(name: str) -> str:
    return name.removesuffix("_total")


def test_every_name_follows_prometheus_conventions() -> None:
    for family in DOCUMENTED:
        assert re.fullmatch(r"wattstream_[a-z0-9_]+[a-z0-9]", family.name)
        assert family.help.endswith(".")
        assert not re.search(r"_(ms|kib|mib|milliwatts|percent)(_|$)", family.name)


def test_promtool_has_nothing_to_say(serve: Serve) -> None:
    need_prometheus()
    client = serve(make_entry(), provider=FakeProvider(STATUS))
    client.get("/metrics")  # of which the next one tells
    page = client.get("/metrics").text
    assert "wattstream_http_request_duration_seconds_bucket" in page
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_documentation_has_every_metric_with_its_labels_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(wattstream_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.MULTILINE
    )
    documented = {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in rows
    }
    assert documented == {(one.name, one.kind, one.labels, one.help) for one in DOCUMENTED}


def test_the_drifts_and_outliers_of_each_model(serve: Serve) -> None:
    series = _series(serve(provider=FakeProvider()).get("/metrics"))
    labels = {"node_type": "xeon", "energy_source": "rapl-sysfs", "output_type": "AbsPower"}
    drifted = frozenset({**labels, "feature_group": "Basic", "partition": "0"}.items())
    steady = frozenset({**labels, "feature_group": "CPUTime", "partition": "0"}.items())
    assert series["wattstream_model_drifts_total", drifted] == 2
    assert series["wattstream_model_drifts_total", steady] == 0
    assert series["wattstream_model_last_drift_timestamp_seconds", drifted] == AT / 1000 - 60
    assert ("wattstream_model_last_drift_timestamp_seconds", steady) not in series
    assert series["wattstream_model_clipped_samples_total", drifted] == 9
    assert series["wattstream_model_outliers_total", drifted] == 1


def test_errors_on_machines_that_were_not_learned_from(serve: Serve) -> None:
    entry = make_entry()
    for errors in entry.manifest.errors.values():
        errors["transfer"] = {"count": 9.0, "mae": 7.5}
    series = _series(serve(entry).get("/metrics"))
    labels = {
        "node_type": entry.manifest.key.node_type,
        "energy_source": "rapl-sysfs",
        "output_type": "AbsPower",
        "feature_group": "BPFOnly",
        "component": "dram",
    }
    assert series["wattstream_model_transfer_mae_watts", frozenset(labels.items())] == 7.5
    assert not [name for name, _ in series if name == "wattstream_model_first_contact_mae_watts"]
    assert not [labels for _, labels in series if ("horizon_seconds", "transfer") in labels]
