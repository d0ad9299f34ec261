from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from estimator.errors import MisuseError, WattstreamError
from estimator.machine import MachineSpec
from stream.records import PowerRecord, UsageRecord, decode_power, decode_usage, encode
from stream.sources import prometheus_json
from stream.sources.kepler_exposition import read_exposition
from stream.sources.kepler_mapping import SERIES, KeplerMapper
from stream.sources.prometheus_json import PrometheusJsonSource
from stream.sources.protocol import Record, Source

PAGES = Path(__file__).parent / "pages"
IDLE = Path(__file__).parents[4] / "shared/data/kepler_prometheus_idle.json"

Answer = dict[str, list[dict[str, Any]]]


def recorded(page: str, times: list[int], **target: str) -> Answer:
    """What Prometheus would answer, had it scraped that page at these times (in seconds)."""
    answer: Answer = defaultdict(list)
    families = read_exposition((PAGES / page).read_text(), "", SERIES).families
    for name, samples in families.items():
        for sample in samples:
            labels = {f"exported_{k}" if k in target else k: v for k, v in sample.labels.items()}
            values = [[t, f"{sample.value + n!r}"] for n, t in enumerate(times)]
            answer[f"{name}_total"].append({"metric": {**labels, **target}, "values": values})
    return dict(answer)


def together(*answers: Answer) -> Answer:
    both: Answer = defaultdict(list)
    for answer in answers:
        for name, series in answer.items():
            both[name] += series
    return dict(both)


def read(source: Source) -> list[Record]:
    records: list[Record] = []
    while (batch := source.poll()) is not None:
        records += batch
    assert source.poll() is None
    for record in records:
        if isinstance(record, UsageRecord):
            assert decode_usage(encode(record)) == record
        else:
            assert decode_power(encode(record)) == record
    return records


def usages(records: list[Record]) -> list[UsageRecord]:
    return [record for record in records if isinstance(record, UsageRecord)]


def powers(records: list[Record]) -> list[PowerRecord]:
    return [record for record in records if isinstance(record, PowerRecord)]


TARGET = {"instance": "10.0.0.1:9102", "job": "kepler", "namespace": "kepler", "pod": "kepler-a"}


@pytest.mark.parametrize("page", ["kepler_0_7_12.txt", "kepler_0_9_0.txt", "kepler_0_11.txt"])
def test_a_recording_gives_what_the_scrape_gives(page: str) -> None:
    families = read_exposition((PAGES / page).read_text(), "", SERIES).families
    node = "n2" if "0_9" in page else "n1"
    scraped = KeplerMapper(node).records(families, 5000)
    answer = recorded(page, [5, 8], **TARGET)
    assert read(PrometheusJsonSource(answer))[: len(scraped)] == scraped


def test_records_come_by_time_then_node() -> None:
    old = recorded("kepler_0_9_0.txt", [6, 9, 12], **{**TARGET, "pod": "kepler-b"})
    new = recorded("kepler_0_11.txt", [3, 9, 15], **TARGET)
    records = read(PrometheusJsonSource(together(old, new)))
    order = [(record.at // 1000, record.node) for record in usages(records)]
    assert order == [(3, "n1"), (6, "n2"), (9, "n1"), (9, "n2"), (12, "n2"), (15, "n1")]
    at = [record.at for record in records]
    assert at == sorted(at)


def test_batches_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = recorded("kepler_0_9_0.txt", list(range(0, 30, 3)), **TARGET)
    everything = read(PrometheusJsonSource(answer))
    monkeypatch.setattr(prometheus_json, "BATCH_SCRAPES", 3)
    source = PrometheusJsonSource(answer)
    first = source.poll()
    assert first is not None
    assert [record.at for record in usages(first)] == [0, 3000, 6000]
    assert first + read(source) == everything
    monkeypatch.setattr(prometheus_json, "BATCH_POINTS", 1)
    first = PrometheusJsonSource(answer).poll()
    assert first is not None
    assert len(usages(first)) == 1


def test_series_may_start_late_and_end_early() -> None:
    answer = recorded("kepler_0_7_12.txt", [3, 6, 9, 12], **TARGET)
    for series in answer["kepler_container_cpu_cycles_total"]:
        if series["metric"]["container_id"] == "beef":
            del series["values"][0]
    for name in ("kepler_container_cpu_cycles_total", "kepler_container_bpf_cpu_time_ms_total"):
        for series in answer[name]:
            if series["metric"]["container_id"] == "c0ffee":
                del series["values"][2:]
    del answer["kepler_node_platform_joules_total"][1]["values"][-1]
    records = read(PrometheusJsonSource(answer))
    rows = [record.workloads for record in usages(records)]
    assert [row.id for row in rows] == [
        ["beef", "c0ffee", "system_processes"],
        ["beef", "c0ffee", "system_processes"],
        ["beef", "system_processes"],
        ["beef", "system_processes"],
    ]
    cpu_time, both = ["bpf_cpu_time_ms"], ["bpf_cpu_time_ms", "cpu_cycles"]
    assert [list(row.features) for row in rows] == [cpu_time, both, both, both]
    acpi = [record for record in powers(records) if record.source == "acpi"]
    zones = [zone.zone for record in acpi for zone in record.zones or []]
    assert zones == ["platform-energy1"] * 3 + ["platform-energy1-dynamic"]


def test_what_prometheus_honoured_has_no_target_labels_on_node_series() -> None:
    """With honor_labels node series keep Kepler's instance, the others have the target's."""
    answer = recorded("kepler_0_7_12.txt", [3, 6], job="kepler")
    for series in answer.values():
        for each in series:
            each["metric"].setdefault("instance", "10.0.0.1:9102")
    records = read(PrometheusJsonSource(answer))
    assert {record.node for record in records} == {"n1"}
    assert len(usages(records)) == 2


def test_an_exporter_that_replaces_another_is_the_one_that_counts() -> None:
    before = recorded("kepler_0_7_12.txt", [3, 6, 9], **TARGET)
    after = recorded("kepler_0_11.txt", [9, 12], **{**TARGET, "pod": "kepler-new"})
    records = read(PrometheusJsonSource(together(before, after)))
    kinds = [record.workloads.kind[0] for record in usages(records)]
    assert kinds == ["container", "container", "process", "process"]
    assert [record.at for record in usages(records)] == [3000, 6000, 9000, 12000]


def test_a_point_that_says_what_the_last_one_said_is_no_scrape() -> None:
    answer = recorded("kepler_0_7_12.txt", [3, 6, 9], **TARGET)
    for series in answer.values():
        for each in series:
            each["values"] = [[t + n, value] for t, value in each["values"] for n in range(3)]
    records = read(PrometheusJsonSource(answer))
    assert [record.at for record in usages(records)] == [3000, 6000, 9000]
    assert {record.at for record in powers(records)} == {3000, 6000, 9000}


def test_of_two_exporters_of_one_node_the_older_does_not_speak_up_in_between() -> None:
    older = recorded("kepler_0_7_12.txt", [3, 6, 9, 12], **TARGET)
    newer = recorded("kepler_0_11.txt", [6, 9, 12], **{**TARGET, "pod": "kepler-new"})
    for series in newer.values():
        for each in series:
            each["values"][1][1] = each["values"][0][1]
    records = read(PrometheusJsonSource(together(older, newer)))
    kinds = [(record.at, record.workloads.kind[0]) for record in usages(records)]
    assert kinds == [(3000, "container"), (6000, "process"), (12000, "process")]


def test_a_pair_that_scrapes_the_same_exporter_counts_once() -> None:
    one = recorded("kepler_0_11.txt", [3, 6], **TARGET, prometheus_replica="a")
    two = recorded("kepler_0_11.txt", [3, 6], **TARGET, prometheus_replica="b")
    alone = read(PrometheusJsonSource(one))
    assert read(PrometheusJsonSource(together(one, two))) == alone


def test_node_and_machine_may_be_given() -> None:
    machine = MachineSpec(processor="mine")
    answer = recorded("kepler_0_11.txt", [3, 6], **TARGET)
    records = read(PrometheusJsonSource(answer, node="me", machine=machine))
    assert {record.node for record in records} == {"me"}
    assert {record.machine for record in usages(records)} == {machine}


def test_one_name_for_several_nodes_is_misuse() -> None:
    one = recorded("kepler_0_11.txt", [3, 6], **TARGET)
    other = recorded("kepler_0_9_0.txt", [3, 6], **{**TARGET, "pod": "kepler-b"})
    with pytest.raises(MisuseError, match="'me' cannot name several nodes: n1, n2"):
        PrometheusJsonSource(together(one, other), node="me").poll()


def test_series_that_name_no_node() -> None:
    answer = recorded("kepler_0_9_0.txt", [3, 6])
    for series in answer.values():
        for each in series:
            each["metric"].pop("instance", None)
    assert {record.node for record in read(PrometheusJsonSource(answer))} == {"unknown"}


def test_bad_values_are_set_aside_and_counted() -> None:
    answer = recorded("kepler_0_7_12.txt", [3, 6, 9], **TARGET)
    answer["kepler_node_platform_joules_total"][0]["values"][1][1] = "NaN"
    answer["kepler_node_package_joules_total"][0]["values"][1] = [6, "?"]
    source = PrometheusJsonSource(answer)
    records = read(source)
    assert source.skipped == 2
    assert len(usages(records)) == 3
    assert [record.at for record in powers(records) if record.source == "acpi"] == [3000, 9000]


def without(prefix: str) -> Answer:
    answer = recorded("kepler_0_9_0.txt", [3, 6], **TARGET)
    return {name: series for name, series in answer.items() if not name.startswith(prefix)}


def shifted() -> Answer:
    answer = recorded("kepler_0_9_0.txt", [3, 6], **TARGET)
    for name, series in answer.items():
        if name.startswith("kepler_process"):
            for each in series:
                each["values"] = [[t + 100, value] for t, value in each["values"]]
    return answer


def unmeasured() -> Answer:
    answer = recorded("kepler_0_9_0.txt", [3, 6], **TARGET)
    for series in answer.values():
        for each in series:
            if "mode" in each["metric"]:
                each["metric"]["source"] = "trained_power_model"
    return answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "no series of Kepler"),
        ({"node_load1": []}, "no series of Kepler"),
        ({"kepler_node_info": [{"metric": {}, "values": [[1, "x"]]}]}, "1 values set aside"),
        (without("kepler_process"), "no usage of containers or processes, only kepler_node_"),
        (without("kepler_node"), "no measured energy of a node, only kepler_process_"),
        (unmeasured(), "no measured energy"),
        (shifted(), "no interval in common"),
        (recorded("kepler_0_9_0.txt", [3], **TARGET), "no interval in common"),
    ],
)
def test_what_nothing_can_be_learned_from_says_why(
    answer: Answer, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(answer))
    with pytest.raises(WattstreamError, match=says) as caught:
        PrometheusJsonSource(file).poll()
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"none\.json: there is no such file"):
        PrometheusJsonSource(tmp_path / "none.json")


def test_what_cannot_be_json_is_said() -> None:
    with pytest.raises(WattstreamError, match="is no JSON"):
        PrometheusJsonSource({"kepler_node_info": object()}).poll()


def test_closed_means_finished() -> None:
    source = PrometheusJsonSource(recorded("kepler_0_9_0.txt", [3, 6], **TARGET))
    source.close()
    assert source.poll() is None
    assert source.interval_seconds is None


def _assert_no_counter_falls(before: UsageRecord, after: UsageRecord) -> None:
    assert before.node_features.keys() == after.node_features.keys()
    assert before.workloads.features.keys() == after.workloads.features.keys()
    for feature, values in after.workloads.features.items():
        known = zip(before.workloads.id, before.workloads.features[feature], strict=True)
        earlier = dict(known)
        for identity, value in zip(after.workloads.id, values, strict=True):
            assert value >= earlier.get(identity, 0.0), (feature, identity)


def test_the_recording_of_an_idle_machine(caplog: pytest.LogCaptureFixture) -> None:
    if not IDLE.exists():
        pytest.skip("needs ../shared/data/kepler_prometheus_idle.json")
    source = PrometheusJsonSource(IDLE)
    records = read(source)
    assert (source.skipped, caplog.records) == (0, [])
    answer = json.loads(IDLE.read_text())
    seconds = sorted({t for t, _ in answer["kepler_node_info"][0]["values"]})
    del seconds[-1]  # the answer's end, at which the last scrape is said a second time
    found = usages(records)
    assert [record.at for record in found] == [t * 1000 for t in seconds]
    assert {record.node for record in records} == {"kind-fms-control-plane"}
    assert {record.machine.processor for record in found} == {"broadwell"}
    for before, after in itertools.pairwise(found):
        _assert_no_counter_falls(before, after)
    metric = "kepler_container_bpf_cpu_time_ms_total"
    for record in found:
        at = {
            series["metric"]["container_id"]: float(value)
            for series in answer[metric]
            for t, value in series["values"]
            if t * 1000 == record.at
        }
        rows = record.workloads
        assert dict(zip(rows.id, rows.features["bpf_cpu_time_ms"], strict=True)) == at
    for name, origin, count in (("package", "rapl-sysfs", 2), ("platform", "acpi", 1)):
        expected: dict[int, float] = defaultdict(float)
        for series in answer[f"kepler_node_{name}_joules_total"]:
            for t, value in series["values"][:-1]:
                expected[t * 1000] += float(value)
        measured = {}
        for power in powers(records):
            zones = [zone for zone in power.zones or [] if zone.component == name]
            if zones:
                assert (power.source, len(zones)) == (origin, count)
                measured[power.at] = sum(zone.joules for zone in zones)
        assert measured == pytest.approx(dict(expected))
        assert list(measured.values()) == sorted(measured.values())
