"""The analyst's commands on a file and on the log: validate, extract, isolate, plot, export."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from server.commands.plot import KINDS
from tests.server.commands.inside import Run
from tests.server.commands.traces import write_trace


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "trace.csv", rows=120)


@pytest.fixture
def collected(wattstream: Run, trace: Path) -> Run:
    """A log that has the trace."""
    assert wattstream("collect", "--source", trace).status == 0
    return wattstream


def report(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_is_in_a_file_is_in_the_log_that_it_was_collected_into(
    collected: Run, trace: Path
) -> None:
    of_file = collected("validate", trace, "--json")
    of_log = collected("validate", "--json")
    assert (of_file.status, of_file.err) == (0, "")
    assert report(of_file.out) == report(of_log.out)
    series = {(one["of"], one["name"]): one for one in report(of_file.out)["series"]}
    assert series["rapl-sysfs", "uncore"]["zeros"] == 120
    assert report(of_file.out)["samples"] == 240
    assert report(of_file.out)["remarks"] == ["trace: uncore (rapl-sysfs) is always 0"]


def test_validate_shows_a_table(wattstream: Run, trace: Path) -> None:
    found = wattstream("validate", trace)
    assert found.status == 0
    heading, *rows = found.out.splitlines()
    assert heading.startswith("node\tof\tseries\treadings\tevery s")
    assert rows[-1] == "trace: uncore (rapl-sysfs) is always 0"
    assert rows[-2] == "240 samples; 242 power_records, 120 usage_records"
    assert len(rows) == 6 + 2


def test_validate_of_what_is_of_no_use_fails_in_words(wattstream: Run, trace: Path) -> None:
    found = wattstream("validate", trace, "--nodes", "worker-*")
    assert found.status == 1
    assert "nothing can be learned: 362 left out other nodes" in found.err


def test_extract_writes_a_trace_that_is_learned_alike(wattstream: Run, trace: Path) -> None:
    found = wattstream("extract", trace, "-o", "again.csv", "--json")
    assert (found.status, found.err) == (0, "")
    assert report(found.out)["rows"] == 120
    assert report(found.out)["nodes"] == ["trace"]
    maes = [
        report(wattstream("evaluate", path, "--experts", "ridge", "--json").out)["components"][
            "package"
        ]["mae"]
        for path in (trace, "again.csv")
    ]
    assert maes[0] == pytest.approx(maes[1], rel=1e-6)


def test_extract_heeds_time_source_group_and_extractor(collected: Run, tmp_path: Path) -> None:
    words = ("extract", "-o", "some.parquet", "--from", "1700000060", "--to", "1700000300")
    more = ("-e", "intel-rapl", "-fg", "CPUTime", "--extractor", "smooth", "--nodes", "tr*")
    found = collected(*words, *more)
    assert (found.status, found.err) == (0, "")
    assert found.out.startswith("50 rows of 1 nodes in some.parquet: timestamp, node, ")
    table = pd.read_parquet(tmp_path / "some.parquet")
    assert "platform_power" not in table
    assert "bpf_page_cache_hit" not in table
    assert len(table) == 50


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("extract", "trace.csv", "-o", "a.xlsx"), 2, "the name must end in .csv or .parquet"),
        (("extract", "trace.csv", "--extractor", "half"), 2, "known are default, smooth"),
        (("extract", "trace.csv", "-e", "redfish"), 1, "has no power of 'redfish', but of acpi"),
        (("extract", "trace.csv", "-fg", "CounterOnly"), 1, "has not all features of CounterOnly"),
        (("extract", "none.csv"), 2, "none.csv cannot be read"),
        (("extract", "trace.csv", "--nodes", ","), 2, "--nodes is ',': it names nothing"),
        (("extract",), 1, "does not exist"),
        (("validate", "trace.csv", "--from", "now", "--to", "-1d"), 2, "is not before --to"),
        (("isolate", "trace.csv", "--isolator", "half"), 2, "isolator is 'half'"),
        (("isolate", "trace.csv", "--profile", "trace.csv"), 2, "isolator 'idle' needs none"),
        (("plot", "dreams", "trace.csv"), 2, "plot 'dreams' is not known; known are power, "),
        (("plot", "power", "trace.csv", "-o", "a.doc"), 2, "--output is a.doc: the name must end"),
        (("plot", "power", "trace.csv", "-o", "no/a.png"), 2, "there is no folder no"),
        (("extract", "trace.csv", "-o", "no/a.csv"), 2, "--output is no/a.csv: there is no folder"),
        (("isolate", "trace.csv", "-o", "no/a.csv"), 2, "there is no folder no"),
        (("extract", "trace.csv", "--nodes", "n1"), 1, "there are trace"),
        (
            ("extract", "trace.csv", "--from", "2030-01-01"),
            *(1, "there are records of 2023-11-14T22:13:17Z to 2023-11-14T22:19:17Z"),
        ),
        (("plot", "power", "trace.csv", "--features", "wind"), 2, "no column 'wind'"),
        (("plot", "shares", "trace.csv", "--component", "psys"), 2, "--component is 'psys'"),
        (("plot", "shares", "trace.csv"), 1, "has no workloads with bpf_cpu_time_ms and power"),
        (("export", "out"), 1, "there is nothing to export: the store has no models"),
        (("export", "out", "-p", "../up"), 2, "name is '../up'"),
        (("export", "out", "--namespace", "none"), 1, "none"),
    ],
)
def test_what_cannot_be_is_one_line(
    wattstream: Run, trace: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    found = wattstream(*words)
    assert found.status == status
    assert said in found.complaint


@pytest.mark.parametrize("isolator", ["idle", "min", "none"])
def test_isolate_takes_off_what_it_says(wattstream: Run, trace: Path, isolator: str) -> None:
    words = ("isolate", trace, "-o", "above.csv", "--isolator", isolator)
    found = report(wattstream(*words, "--json").out)
    assert (found["samples"], found["left_out"]) == (240, 0)
    levels = {level["component"]: level["watts"] for level in found["levels"]}
    whole, above = pd.read_csv(trace), pd.read_csv("above.csv")
    for component in ("package", "platform"):
        taken = whole[f"{component}_power"] - above[f"{component}_power"]
        assert taken.mean() == pytest.approx(levels[component], abs=0.01)
    assert (levels["package"] > 25) == (isolator != "none")
    text = wattstream(*words).out
    assert text.splitlines()[0] == "node type\tsource\tcomponent\tW subtracted\tsamples"
    assert text.splitlines()[-1] == "240 samples in above.csv, 0 left out"


def test_isolate_by_the_recording_of_an_idle_machine(
    wattstream: Run, trace: Path, tmp_path: Path
) -> None:
    idle = tmp_path / "idle.csv"
    rows = [f"{1_600_000_000 + 3 * n},0,{31 + n % 2},0,5,70" for n in range(20)]
    heading = "timestamp,bpf_cpu_time_ms,package_power,uncore_power,dram_power,platform_power"
    idle.write_text("\n".join([heading, *rows]))
    words = ("isolate", trace, "--isolator", "profile", "--profile", idle, "--json")
    levels = {
        level["component"]: level["watts"] for level in report(wattstream(*words).out)["levels"]
    }
    assert levels["platform"] == pytest.approx(70.0, abs=0.1)
    assert levels["package"] == pytest.approx(31.4, abs=0.2)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "shares"])
def test_every_plot_of_a_trace(wattstream: Run, trace: Path, tmp_path: Path, kind: str) -> None:
    words = ("-fg", "CPUTime", "-e", "acpi") if kind == "models" else ("--experts", "ridge")
    found = wattstream("plot", kind, trace, *words)
    assert found.status == 0
    assert f"{kind} is drawn in {kind}.png" in found.err
    assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")


def test_shares_of_workloads_of_the_log(wattstream: Run, tmp_path: Path) -> None:
    start = 1_700_000_000
    rows = []
    for name, weight in (("web", 3), ("db", 1)):
        values = [[start + 3 * n, str(weight * 3000 * n)] for n in range(20)]
        labels = {"container_id": name, "instance": "n1"}
        rows.append({"metric": labels, "values": values})
    joules = [
        {
            "metric": {"instance": "n1", "package": "0", "source": "rapl-sysfs", "mode": mode},
            "values": [[start + 3 * n, str(share * (100 * n + n % 3 * 50))] for n in range(20)],
        }
        for mode, share in (("dynamic", 0.5), ("idle", 0.5))
    ]
    answer = {
        "kepler_container_bpf_cpu_time_ms_total": rows,
        "kepler_node_package_joules_total": joules,
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    assert wattstream("collect", "--source", "answer.json").status == 0
    assert wattstream("plot", "shares", "-o", "shares.svg").status == 0
    drawn = (tmp_path / "shares.svg").read_text()
    assert "<svg" in drawn
    assert wattstream("plot", "shares", "answer.json", "--component", "package").status == 0


def test_what_is_exported_another_site_serves(collected: Run, tmp_path: Path) -> None:
    assert collected("learn", "--once", "--experts", "ridge").status == 0
    words = ("export", "out", "-p", "site-a", "--publisher", "Site A", "--zip", "--include-raw")
    found = collected(*words, "--mae", "100")
    assert (found.status, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[0] == "file\tmodel"
    assert len(lines) - 1 == len(list((tmp_path / "out").rglob("SGD*.json")))
    assert "Site A" in (tmp_path / "out" / "site-a" / "README.md").read_text()
    with zipfile.ZipFile(tmp_path / "out" / "site-a.zip") as packed:
        assert "site-a/node_type_index.json" in packed.namelist()
    for location in ("out", "out/site-a", "out/site-a.zip"):
        store = f"file:{location.replace('/', '-')}-imported"
        done = collected("models", "import", location, "--store", store, "--json")
        assert report(done.out)["refused"] == []
        assert report(done.out)["new"] == len(lines) - 1
    here = json.loads(collected("models", "--json").out)
    there = json.loads(collected("models", "--store", "file:out/store", "--json").out)
    assert {model["current"] for model in there} == {model["current"] for model in here}
    assert "is there and not empty" in collected(*words).err


def test_models_that_are_left_out_are_named_with_why(collected: Run) -> None:
    assert collected("learn", "--once", "--experts", "ridge").status == 0
    found = collected("export", "out", "--mae", "0", "--mape", "0")
    assert found.status == 1
    assert "there is nothing to export: " in found.complaint
    assert "its error is " in found.complaint
