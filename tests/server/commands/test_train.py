from __future__ import annotations

import json
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.kafka.broker import free_ports
from tests.server.commands.inside import Run
from tests.server.commands.processes import Command, answers, eventually, short_folder
from tests.server.commands.traces import write_trace
from tests.server.training.answers import answer, body, request

ACPI = {**answer(), **answer(source="acpi")}


def write(path: Path, found: object) -> None:
    path.write_text(json.dumps(found))


def test_an_answer_becomes_a_zip_of_models(wattstream: Run, tmp_path: Path) -> None:
    write(tmp_path / "my answer.json", ACPI)
    found = wattstream("train", "my answer.json", "--trainers", "SGDRegressorTrainer,amf")
    assert found.status == 0, found.err
    assert "38 samples, 8 models in my-answer.zip" in found.out
    assert "to serve it: unzip" in found.err
    with zipfile.ZipFile(tmp_path / "my-answer.zip") as archive:
        report = json.loads(archive.read("report.json"))
    assert report["experts"] == ["line", "amf"]
    assert report["energy_sources"] == ["acpi", "rapl-sysfs"]


def test_a_request_is_done_as_the_trainer_does_it(wattstream: Run, tmp_path: Path) -> None:
    write(tmp_path / "request.json", request())
    words = ["train", "request.json", "--output", "a.zip", "--json"]
    found = wattstream(*words)
    assert found.status == 0, found.err
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert json.loads(archive.read("report.json")) == json.loads(found.out)
    assert json.loads(found.out)["name"] == "made-up"
    flags = ["--name", "b", "--trainers", "ridge", "--energy-source", "intel_rapl"]
    report = json.loads(wattstream(*words, *flags).out)
    assert (report["name"], report["experts"]) == ("b", ["ridge"])


def test_isolators_are_had_by_settings(wattstream: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.json", answer())
    write(tmp_path / "idle.json", answer(points=8))
    words = ["train", "a.json", "--json", "--isolator"]
    assert "trainer.idle_prom_response" in wattstream(*words, "profile").complaint
    for more in (
        ["profile", "--idle", "idle.json"],
        ["trainer", "--bg-hints", "c1"],
        ["trainer", "--idle", "idle.json"],
    ):
        found = wattstream(*words, *more)
        assert found.status == 0, found.err
        outputs = {model["output_type"] for model in json.loads(found.out)["models"]}
        assert outputs == {"AbsPower", "DynPower"}


@pytest.mark.parametrize(
    ("content", "flags", "status", "named"),
    [
        (None, [], 2, "No such file"),
        ("", [], 1, "a.json: it is empty"),
        ("nonsense", [], 1, "a.json: JSON is malformed"),
        ("{}", [], 1, "no series of Kepler"),
        (json.dumps(answer()), ["--trainers", "Magic"], 2, "'Magic'"),
        (json.dumps(answer()), ["--energy-source", "acpi"], 1, "rapl-sysfs only"),
        (json.dumps(answer()), ["--energy-source", "sun"], 1, "'sun'"),
        (json.dumps(answer()), ["-o", "no/a.zip"], 2, "--output is no/a.zip: there is no folder"),
        (json.dumps(answer()), ["-o", "."], 2, "--output is .: that is a folder"),
        (json.dumps(answer()), ["--abs-trainers=", "--dyn-trainers="], 1, "both empty"),
        (json.dumps(answer()), ["--name", "../a"], 1, "name is '../a'"),
    ],
)
def test_what_cannot_be_learned_is_said_in_one_line(
    wattstream: Run, tmp_path: Path, content: str | None, flags: list[str], status: int, named: str
) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    found = wattstream("train", "a.json", *flags)
    assert found.status == status
    assert named in found.complaint
    assert not list(tmp_path.glob("*.zip"))


def test_a_trace_is_learned_as_it_is_evaluated(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    evaluated = json.loads(wattstream("evaluate", "trace.csv", "--json").out)["components"]
    words = ("-e", "rapl-sysfs", "-p", "mine", "-o", "a.zip", "--node", "n1", "--json")
    found = wattstream("train", "trace.csv", *words)
    assert found.status == 0, found.err
    told = json.loads(found.out)
    assert (told["name"], told["samples"], told["skipped_values"]) == ("mine", 60, 0)
    by_key = {(one["output_type"], one["feature_group"]): one for one in told["models"]}
    assert {output for output, _ in by_key} == {"AbsPower", "DynPower"}
    model = by_key["AbsPower", "CPUTime"]
    assert model["node_type"].startswith("unknown")
    assert model["features"] == ["bpf_cpu_time_ms"]
    assert set(model["components"]) == set(evaluated) - {"platform"}
    alone = wattstream("evaluate", "trace.csv", "--features", "bpf_cpu_time_ms", "--json")
    errors = json.loads(alone.out)["components"]["package"]
    assert model["components"]["package"]["mae"] == pytest.approx(errors["mae"])
    assert (tmp_path / "a.zip").exists()
    broken = wattstream("train", "other.csv")
    assert (broken.status, "other.csv cannot be read" in broken.complaint) == (2, True)


@pytest.mark.parametrize(("left", "kept"), [("abs", "DynPower"), ("dyn", "AbsPower")])
def test_one_output_type_may_be_left_out(
    wattstream: Run, tmp_path: Path, left: str, kept: str
) -> None:
    write(tmp_path / "a.json", answer())
    words = ("--trainers", "ridge", f"--{left}-trainers=", "--json")
    found = wattstream("train", "a.json", *words)
    assert found.status == 0, found.err
    assert {model["output_type"] for model in json.loads(found.out)["models"]} == {kept}


@pytest.mark.slow
def test_the_service_trains_and_leaves_nothing_behind() -> None:
    with short_folder() as folder:
        port = free_ports(1)[0]
        words = ["trainer", "--data", folder / "data", "--train-listen", f"127.0.0.1:{port}"]
        url = f"http://127.0.0.1:{port}"
        with Command(folder, words) as first:
            eventually(lambda: answers(f"{url}/readyz"))
            response = httpx.post(f"{url}/train", content=body(), timeout=60)
            assert response.status_code == 200, response.text
            with Command(folder, words) as second:
                assert second.wait() == 1
                assert "has a trainer already" in second.said
            assert first.stop() == 0
        assert not list((folder / "data" / "training").iterdir())
