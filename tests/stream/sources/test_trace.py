from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import MisuseError
from estimator.machine import MachineSpec
from stream.records import PowerRecord, UsageRecord, decode_power, decode_usage, encode
from stream.sources.trace import Pace, Progress, TraceSource

NX12 = Path(__file__).parents[4] / "shared/data/nx12/rapl_basic.csv"
HEADER = "timestamp,cpu_cycles,package_power"


def trace(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def publish(source: TraceSource) -> tuple[list[UsageRecord], list[PowerRecord]]:
    usage: list[UsageRecord] = []
    power: list[PowerRecord] = []
    while (records := source.poll()) is not None:
        for record in records:
            if isinstance(record, UsageRecord):
                assert decode_usage(encode(record)) == record
                usage.append(record)
            else:
                assert decode_power(encode(record)) == record
                power.append(record)
    return usage, power


def interpolated_watts(
    usage: list[UsageRecord], power: list[PowerRecord]
) -> dict[str, list[float]]:
    """What the join makes of it: linear between readings, the mean over each usage interval."""
    readings: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for record in power:
        for zone in record.zones or []:
            readings[zone.component].append((record.at, zone.joules))
    watts: dict[str, list[float]] = {}
    for component, points in readings.items():
        at, joules = zip(*points, strict=True)
        assert all(a < b for a, b in itertools.pairwise(at))
        ends = np.array([record.at for record in usage], float)
        starts = np.array([record.at - (record.interval or 0) * 1000 for record in usage])
        assert starts[0] >= at[0]
        energy = np.interp(ends, at, joules) - np.interp(starts, at, joules)
        watts[component] = list(energy / (ends - starts) * 1000)
    return watts


def test_a_row_is_rates_over_its_interval_and_the_energy_they_took(tmp_path: Path) -> None:
    path = trace(tmp_path, "100,5,10", "103,6,20", "106,7,0")
    machine = MachineSpec(processor="p", cores=4)
    usage, power = publish(TraceSource(path, "n1", machine=machine))
    assert [(r.at, r.mode, r.interval, r.node_features, r.machine, r.node) for r in usage] == [
        (100_000, "rate", 3.0, {"cpu_cycles": 5.0}, machine, "n1"),
        (103_000, "rate", 3.0, {"cpu_cycles": 6.0}, machine, "n1"),
        (106_000, "rate", 3.0, {"cpu_cycles": 7.0}, machine, "n1"),
    ]
    assert [(r.at, r.source, r.zones and r.zones[0].joules) for r in power] == [
        (97_000, "rapl-sysfs", 0.0),
        (100_000, "rapl-sysfs", 30.0),
        (103_000, "rapl-sysfs", 90.0),
        (106_000, "rapl-sysfs", 90.0),
    ]


def test_records_come_in_order_of_event_time(tmp_path: Path) -> None:
    path = trace(tmp_path, *(f"{t},1,1" for t in [*range(0, 60, 2), *range(100, 900, 2)]))
    source = TraceSource(path)
    records = list(itertools.chain.from_iterable(iter(source.poll, None)))
    assert all(a.at <= b.at for a, b in itertools.pairwise(records))


def test_every_component_goes_to_the_source_that_measures_it(tmp_path: Path) -> None:
    header = "timestamp,cpu_cycles,platform_power,dram_power,package_power,psys_power,gpu_power"
    path = trace(tmp_path, "1,1,300,20,100,150,9", "2,1,300,20,100,150,9", header=header)
    _, power = publish(TraceSource(path))
    zones = {record.source: [z.component for z in record.zones or []] for record in power}
    assert zones == {"rapl-sysfs": ["package", "dram", "psys"], "acpi": ["platform"]}


def test_after_a_gap_the_interval_is_the_usual_step(tmp_path: Path) -> None:
    path = trace(tmp_path, "10,1,7", "13,1,8", "16,1,9", "100,1,50", "103,1,60")
    usage, power = publish(TraceSource(path))
    assert [record.interval for record in usage] == [3.0] * 5
    assert 97_000 in [record.at for record in power]
    assert interpolated_watts(usage, power)["package"] == pytest.approx([7, 8, 9, 50, 60])


def test_a_short_or_slightly_long_step_is_taken_as_it_is(tmp_path: Path) -> None:
    path = trace(tmp_path, "10,1,7", "13,1,8", "14,1,9", "17,1,5", "21.5,1,4")
    usage, power = publish(TraceSource(path))
    assert [record.interval for record in usage] == [3.0, 3.0, 1.0, 3.0, 4.5]
    assert interpolated_watts(usage, power)["package"] == pytest.approx([7, 8, 9, 5, 4])


def test_a_trace_may_begin_at_the_epoch(tmp_path: Path) -> None:
    usage, power = publish(TraceSource(trace(tmp_path, "0,1,5", "1,1,7", "2,1,8")))
    assert [record.at for record in usage] == [1000, 2000]
    assert interpolated_watts(usage, power)["package"] == pytest.approx([7, 8])


steps = st.lists(st.integers(1, 30_000), min_size=1, max_size=40)


@given(steps=steps, data=st.data())
def test_the_join_gets_back_every_rows_watts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], data: st.DataObject
) -> None:
    at = list(itertools.accumulate(steps, initial=1_700_000_000_000))
    amounts = st.floats(0, 1e4)
    watts = data.draw(st.lists(amounts, min_size=len(at), max_size=len(at)))
    lines = [f"{t / 1000:.3f},1,{w!r}" for t, w in zip(at, watts, strict=True)]
    source = TraceSource(trace(tmp_path_factory.mktemp("t"), *lines))
    usage, power = publish(source)
    assert [record.at for record in usage] == at
    got = interpolated_watts(usage, power)["package"]
    assert got == pytest.approx(watts, rel=1e-6, abs=1e-4)


def test_time_may_be_iso_8601(tmp_path: Path) -> None:
    path = trace(
        tmp_path,
        "2023-09-19T09:27:43Z,1,1",
        "2023-09-19T11:27:46.5+02:00,1,1",
        "2023-09-19 09:27:49,1,1",
    )
    usage, _ = publish(TraceSource(path))
    assert [record.at for record in usage] == [1695115663000, 1695115666500, 1695115669000]


def test_without_features_all_known_columns_are_usage(tmp_path: Path) -> None:
    header = "timestamp,colour,cpu_cycles,package_power,cache_miss,humidity"
    path = trace(tmp_path, "1,red,5,1,6,7", "2,blue,5,1,6,8", header=header)
    usage, _ = publish(TraceSource(path))
    assert usage[0].node_features == {"cpu_cycles": 5.0, "cache_miss": 6.0}
    usage, _ = publish(TraceSource(path, features=["humidity", "cpu_cycles"]))
    assert usage[0].node_features == {"humidity": 7.0, "cpu_cycles": 5.0}


@pytest.mark.parametrize(
    ("line", "reason", "place"),
    [
        ("13,1", "ragged row", "line 3, 2 cells under 3 columns"),
        ("13,1,2,3", "ragged row", "line 3, 4 cells"),
        ("13,,2", "empty cell", "line 3, column 2 (cpu_cycles): empty cell"),
        ("13,1,lots", "no number", "line 3, column 3 (package_power): no number 'lots'"),
        ("13,nan,2", "not finite", "line 3, column 2"),
        ("13,1,inf", "not finite", "line 3, column 3"),
        ("13,-1,2", "negative number", "line 3, column 2"),
        ("yesterday,1,2", "no time", "line 3, column 1 (timestamp)"),
        (",1,2", "empty cell", "line 3, column 1"),
        ("1695115663000,1,2", "no Unix time in seconds", "line 3, column 1"),
        ("-5,1,2", "no Unix time in seconds", "line 3, column 1"),
        ("nan,1,2", "no Unix time in seconds", "line 3, column 1"),
        ("10,1,2", "duplicate time", "line 3, duplicate time: '10'"),
        ("9,1,2", "out of order", "line 3, out of order: '9'"),
        ('"13"x,1,2', "not CSV", "line 3, not CSV"),
    ],
)
def test_an_unusable_row_is_set_aside_with_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, reason: str, place: str
) -> None:
    path = trace(tmp_path, "10,1,5", line, "16,1,6", "19,1,6", "22,1,6")
    with caplog.at_level(logging.WARNING):
        source = TraceSource(path)
    assert source.set_aside == {reason: 1}
    assert source.progress == Progress(0, 4)
    (message,) = [record.getMessage() for record in caplog.records]
    assert place in message
    assert "1 of 5 rows set aside" in message
    usage, power = publish(source)
    assert source.progress == Progress(4, 4)
    assert interpolated_watts(usage, power)["package"] == pytest.approx([5, 6, 6, 6])


def test_a_file_cut_off_anywhere_gives_the_rows_before(tmp_path: Path) -> None:
    whole = trace(tmp_path, *(f"{t},1,5" for t in range(10, 100, 3))).read_bytes()
    path = tmp_path / "cut.csv"
    for length in range(len(HEADER) + 8, len(whole)):
        path.write_bytes(whole[:length])
        rows = TraceSource(path).progress.total
        assert whole[:length].count(b"\n") - 1 <= rows <= whole[:length].count(b"\n")


def test_a_quote_that_never_closes_ends_the_trace(tmp_path: Path) -> None:
    source = TraceSource(trace(tmp_path, "10,1,5", '13,"1,5', "16,1,5"))
    assert source.set_aside == {"not CSV": 1}
    assert source.progress.total == 1


def test_many_bad_rows_are_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        source = TraceSource(trace(tmp_path, "10,1,5", *["11,x,y"] * 1000))
    assert source.set_aside == {"no number": 1000}
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.count("line ") == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1: the file is empty"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "line 1, column 1: this is not text"),
        ("timestamp,a".encode("utf-16"), "line 1, column 1: this is not text"),
        (b"<html>\n", "line 1: no column 'timestamp' among the columns <html>"),
        (b"timestamp,cpu_cycles\n1,2\n", "line 1: no power column"),
        (b"timestamp,a,package_power\n1,2,3\n", "line 1: no known feature"),
        (b"timestamp,timestamp,cpu_cycles,package_power\n", "two columns 'timestamp'"),
        (b"timestamp,cpu_cycles,package_power\n", "line 2: there is none"),
        (b"timestamp,cpu_cycles,package_power\n1,x,3\n", "line 2, column 2 .cpu_cycles."),
        (b'"timestamp,cpu_cycles\n', "line 1"),
    ],
)
def test_a_file_of_no_use_is_misuse_with_the_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=message) as caught:
        TraceSource(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_feature_lists_the_columns_there_are(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="'gpu' among the columns timestamp, cpu_cycles, pack"):
        TraceSource(trace(tmp_path, "1,2,3"), features=["gpu"])


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"none\.csv cannot be read: No such file"):
        TraceSource(tmp_path / "none.csv")


def test_in_recorded_time_rows_come_when_their_time_has_come(tmp_path: Path) -> None:
    now = [0.0]
    path = trace(tmp_path, "100,1,5", "103,1,5", "106,1,5", "120,1,5")
    source = TraceSource(path, pace="recorded", monotonic=lambda: now[0])
    assert source.interval_seconds == 3.0
    seen = []
    for now[0] in (50.0, 52.9, 53.0, 57.0, 69.9, 70.0):
        records = source.poll()
        assert records is not None
        seen.append([record.at // 1000 for record in records if isinstance(record, UsageRecord)])
    assert seen == [[100], [], [103], [106], [], [120]]
    assert source.poll() is None


@pytest.mark.parametrize(("pace", "interval"), [("fastest", None), ("recorded", 3.0)])
def test_the_pace_says_how_often_to_ask(tmp_path: Path, pace: Pace, interval: float | None) -> None:
    source = TraceSource(trace(tmp_path, "100,1,5", "103,1,5"), pace=pace)
    assert source.interval_seconds == interval


def test_the_recorded_server_comes_back_to_the_last_watt() -> None:
    if not NX12.exists():
        pytest.skip("needs ../shared/data/nx12/rapl_basic.csv")
    source = TraceSource(NX12, features=["bpf_cpu_time_us", "cpu_cycles"])
    assert source.progress.total == 2202
    assert source.set_aside == {}
    usage, power = publish(source)
    lines = [line.split(",") for line in NX12.read_text().splitlines()[1:]]
    watts = interpolated_watts(usage, power)
    assert watts["package"] == pytest.approx([float(line[11]) for line in lines], rel=1e-6)
    assert watts["dram"] == pytest.approx([float(line[14]) for line in lines], rel=1e-6)
    assert set(watts["core"]) == {0.0}
