from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.server.commands.inside import Run
from tests.server.commands.traces import write_trace

SERVED = ("60", "300", "1200")


def _report(text: str) -> dict[str, Any]:
    """The one JSON object on the one line."""
    assert text.count("\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def test_json_is_one_object_of_the_documented_shape(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    found = wattstream("evaluate", "trace.csv", "--json")
    assert (found.status, found.err) == (0, "")
    report = _report(found.out)
    assert list(report) == ["samples", "seconds", "samples_per_second", "components"]
    assert report["samples"] == 60
    assert report["seconds"] > 0
    assert report["samples_per_second"] > 0
    # Uncore is always zero.
    assert set(report["components"]) == {"package", "dram", "platform"}
    for errors in report["components"].values():
        assert set(errors) == {"mae", "rmse", "mape", "r2", "bias", "served"}
        assert {horizon: set(served) for horizon, served in errors["served"].items()} == {
            horizon: {"mae"} for horizon in SERVED
        }
        assert all(math.isfinite(errors[name]) for name in ("mae", "rmse", "mape", "r2", "bias"))
        assert 0 <= errors["mae"] <= errors["rmse"]
        assert math.isfinite(errors["served"]["60"]["mae"])
        # The trace lasts 177 s: nothing has been served for 300 s.
        assert errors["served"]["300"]["mae"] is None
        assert errors["served"]["1200"]["mae"] is None


def test_twice_the_same_command_finds_the_same_errors(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv", rows=200)
    first, second = (
        _report(wattstream("evaluate", "trace.csv", "--json").out)["components"] for _ in range(2)
    )
    assert first == second


def test_named_columns_need_not_be_known_features(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    found = wattstream("evaluate", "trace.csv", "--features", "temperature", "--json")
    assert found.status == 0
    by_temperature = _report(found.out)["components"]["package"]["mae"]
    by_all = wattstream("evaluate", "trace.csv", "--features", " bpf_page_cache_hit ,", "--json")
    # The temperature tells the power, page cache hits hardly do.
    assert by_temperature < _report(by_all.out)["components"]["package"]["mae"]


def test_text_is_lines_of_the_same_numbers(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    components = _report(wattstream("evaluate", "trace.csv", "--json").out)["components"]
    found = wattstream("evaluate", "trace.csv")
    assert (found.status, found.err) == (0, "")
    heading, *rows, summary = found.out.splitlines()
    names = heading.split("\t")
    assert names[:2] == ["component", "MAE W"]
    table = {cells[0]: dict(zip(names, cells, strict=True)) for cells in map(_cells, rows)}
    assert set(table) == set(components)
    for component, errors in components.items():
        assert table[component]["MAE W"] == f"{errors['mae']:.2f}"
        assert table[component]["R2"] == f"{errors['r2']:.3f}"
        assert table[component]["60 s"] == f"{errors['served']['60']['mae']:.2f}"
        assert table[component]["1200 s"] == "-"
    assert summary.startswith("60 samples in ")


def _cells(row: str) -> list[str]:
    return row.split("\t")


def test_the_experts_are_a_matter_of_settings(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trace(tmp_path / "trace.csv")
    usual = _report(wattstream("evaluate", "trace.csv", "--json").out)["components"]
    monkeypatch.setenv("WATTSTREAM_EXPERTS", "linear")
    linear = _report(wattstream("evaluate", "trace.csv", "--json").out)["components"]
    assert linear["package"]["mae"] != usual["package"]["mae"]
    flags = ("--experts", "ridge", "--experts", "neighbours")
    assert _report(wattstream("evaluate", "trace.csv", "--json", *flags).out)["components"] == usual
    commas = ("--experts", "ridge, neighbours")
    assert (
        _report(wattstream("evaluate", "trace.csv", "--json", *commas).out)["components"] == usual
    )
    one = ("--experts", "ridge")
    assert _report(wattstream("evaluate", "trace.csv", "--json", *one).out)["components"] != usual


def test_a_file_cut_off_in_a_row_is_used_up_to_there(wattstream: Run, tmp_path: Path) -> None:
    path = write_trace(tmp_path / "trace.csv")
    whole = path.read_text()
    path.write_text(whole[: whole.rindex(",") - 2])
    found = wattstream("evaluate", "trace.csv", "--json")
    assert found.status == 0
    assert _report(found.out)["samples"] == 59
    (line,) = found.err.splitlines()
    assert "1 of 60 rows set aside" in line
    assert "line 61, 7 cells under 8 columns" in line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1, column 1: the file is empty"),
        ("timestamp,bpf_cpu", "line 1: no power column"),
        ("timestamp,bpf_cpu_time_ms,package_power\n", "no row can be used"),
        ("timestamp,bpf_cpu_time_ms,package_power\n1700000000,5", "line 2, 2 cells under 3"),
        ("timestamp,bpf_cpu_time_ms,package_power\n1700000000,x,5", "line 2, column 2"),
        ("timestamp,bpf_cpu_time_ms\n1700000000,5\n", "line 1: no power column"),
        ("bpf_cpu_time_ms,package_power\n5,5\n", "line 1: no column 'timestamp'"),
        ("timestamp,wind,package_power\n1,5,5\n", "no known feature to use, name some"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_its_place(
    wattstream: Run, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "trace.csv").write_text(content)
    found = wattstream("evaluate", "trace.csv")
    assert found.status == 2
    assert "trace.csv" in found.complaint
    assert said in found.complaint


def test_what_is_no_trace_is_said_before_it_is_read(wattstream: Run, tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text("{}")
    found = wattstream("evaluate", "answer.json")
    assert (found.status, "a trace (.csv) is needed" in found.complaint) == (2, True)
    (tmp_path / "answer.csv").write_text(f'{{"a": [{",".join(map(str, range(5000)))}]}}')
    found = wattstream("evaluate", "answer.csv")
    assert found.status == 2
    assert "and 4950 more" in found.complaint
    assert len(found.complaint) < 1000
    write_trace(tmp_path / "trace.csv")
    found = wattstream("evaluate", "trace.csv", "--plot", "no/a.png")
    assert (found.status, "--plot is no/a.png: there is no folder no" in found.complaint) == (
        2,
        True,
    )


def test_an_unknown_column_is_named_with_those_that_there_are(
    wattstream: Run, tmp_path: Path
) -> None:
    write_trace(tmp_path / "trace.csv")
    found = wattstream("evaluate", "trace.csv", "--features", "temperature,wind")
    assert found.status == 2
    assert "no column 'wind'" in found.complaint
    assert "bpf_cpu_time_ms, bpf_page_cache_hit, temperature" in found.complaint
    found = wattstream("evaluate", "trace.csv", "--features", " , ")
    assert found.status == 2
    assert "it names no column" in found.complaint


def test_a_file_that_is_not_there(wattstream: Run) -> None:
    found = wattstream("evaluate", "nowhere.csv")
    assert (found.status, found.complaint) == (
        2,
        "nowhere.csv cannot be read: No such file or directory",
    )


def test_baselines_stand_beside_the_model(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    report = _report(wattstream("evaluate", "trace.csv", "--compare", "--json").out)
    names = list(report["baselines"])
    assert names[0] == "last value"
    assert len(names) == 5
    for found in report["baselines"].values():
        assert set(found["components"]) == set(report["components"])
        assert found["samples"] == report["samples"]
    again = wattstream("evaluate", "trace.csv", "--compare")
    assert "drift" not in again.err  # of a baseline, which would be taken for the model's
    table = again.out.splitlines()
    assert table[0].split("\t")[:3] == ["component", "model", "MAE W"]
    assert sum(line.startswith("package\t") for line in table) == 1 + len(names)


def test_its_course_is_drawn(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv", rows=200)
    assert wattstream("evaluate", "trace.csv", "--plot", "course.png").status == 0
    assert (tmp_path / "course.png").read_bytes().startswith(b"\x89PNG")
    for name, said in (("course.doc", "doc"), ("none/course.png", "none")):
        found = wattstream("evaluate", "trace.csv", "--plot", name)
        assert found.status == 2
        assert said in found.err
