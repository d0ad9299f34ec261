from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import MisuseError, WattstreamError
from stream.analysis import samples_table as tables
from stream.analysis.recording import FileRecording
from stream.analysis.samples_table import samples_table, smoothed, write_table
from stream.analysis.samples_wanted import of_group, of_source
from tests.stream.sampled import START_MS, samples


def test_a_row_for_each_node_and_interval() -> None:
    platform = [
        sample._replace(source="acpi", components=("platform",), watts=(99.0,))
        for sample in samples(3)
    ]
    table = samples_table([*samples(3), *platform, *samples(2, node="n2")])
    assert list(table.columns) == [
        *("timestamp", "node", "node_type", "interval", "bpf_cpu_time_ms", "bpf_page_cache_hit"),
        *("package_power", "dram_power", "platform_power"),
    ]
    assert table["node"].tolist() == ["n1", "n2", "n1", "n2", "n1"]
    assert table["timestamp"].tolist()[:2] == [START_MS / 1000 + 3.0] * 2
    assert table["platform_power"].isna().tolist() == [False, True, False, True, False]
    assert set(table["interval"]) == {3.0}


@given(count=st.integers(2, 40), seed=st.integers(0, 5))
def test_a_table_of_one_node_is_a_trace_of_the_same_samples(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("table") / "samples.csv"
    before = samples(count, seed=seed)
    write_table(samples_table(before), path)
    after = FileRecording(path).samples()
    assert [sample.end for sample in after] == [sample.end for sample in before]
    for one, other in zip(before, after, strict=True):
        assert one.rates.tolist() == other.rates.tolist()
        np.testing.assert_allclose(one.watts, other.watts, rtol=1e-9)


def test_parquet_is_the_same_table(tmp_path: Path) -> None:
    table = samples_table(samples(5))
    write_table(table, tmp_path / "samples.parquet")
    write_table(table, tmp_path / "samples.csv")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "samples.parquet"), table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "samples.csv"), table)
    assert {path.name for path in tmp_path.iterdir()} == {"samples.csv", "samples.parquet"}


def test_smoothed_is_the_mean_of_each_nodes_last_samples() -> None:
    table = samples_table([*samples(10), *samples(10, node="n2", seed=2)])
    made = smoothed(table, 4)
    for node in ("n1", "n2"):
        mine, means = table[table["node"] == node], made[made["node"] == node]
        assert len(means) == 7
        assert means["timestamp"].iloc[0] == mine["timestamp"].iloc[3]
        assert means["package_power"].iloc[0] == pytest.approx(mine["package_power"][:4].mean())


def test_forms_that_there_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = samples_table(samples(2))
    with pytest.raises(MisuseError, match=r"--output is a.xlsx: the name must end in .csv or"):
        write_table(table, Path("a.xlsx"))
    with pytest.raises(MisuseError, match="cannot be written"):
        write_table(table, tmp_path / "no" / "a.csv")
    monkeypatch.setattr(tables, "find_spec", lambda _name: None)
    with pytest.raises(MisuseError, match=r"install wattstream\[analyst\]"):
        write_table(table, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_only_one_energy_source_and_one_feature_group() -> None:
    mixed = [*samples(2), *samples(2, source="acpi")]
    assert [sample.source for sample in of_source(mixed, "acpi", "file")] == ["acpi"] * 2
    with pytest.raises(WattstreamError, match="file has no power of 'redfish', but of acpi, rapl"):
        of_source(mixed, "redfish", "file")
    (first, *_) = of_group(mixed, "CPUTime", "file")
    assert (first.features, first.rates.tolist()) == (("bpf_cpu_time_ms",), [0.0])
    with pytest.raises(WattstreamError, match="file has not all features of CounterOnly: it has"):
        of_group(mixed, "CounterOnly", "file")
    with pytest.raises(MisuseError, match="--feature-group is 'Half': known are Full, "):
        of_group(mixed, "Half", "file")
