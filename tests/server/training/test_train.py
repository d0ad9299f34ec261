from __future__ import annotations

import io
import json
import re
import socket
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UnsetType

from estimator.settings import Settings
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.commands.estimate import lone_estimator
from server.training.metrics import FAMILIES
from server.training.process import ProcessRunner
from tests.server.error_shape import assert_error
from tests.server.training.answers import (
    IDLE,
    answer,
    body,
    gzipped,
    request,
    series,
    zipped,
)
from tests.server.training.conftest import LIMIT, Train


def report_of(data: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        report: dict[str, Any] = json.loads(archive.read("report.json"))
        return report


def served(data: bytes, folder: Path, asked: dict[str, object]) -> dict[str, Any]:
    """What the estimator answers at its socket that has the zip, unpacked, as its store."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder / "store")
    path = folder / "e.sock"
    settings = Settings(
        data=str(folder / "data"), store=f"file:{folder / 'store'}", socket=(str(path),)
    )
    with lone_estimator(settings), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(json.dumps(asked).encode())
        found: dict[str, Any] = json.loads(connection.recv(1 << 16))
        return found


def asked_power(values: list[list[float]], source: str = "rapl-sysfs") -> dict[str, object]:
    return {
        "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
        "values": values,
        "output_type": "AbsPower",
        "source": source,
        "system_features": ["cpu_architecture"],
        "system_values": ["unknown"],
        "trainer_name": "",
        "filter": "",
    }


def test_an_answer_comes_back_as_models_with_their_errors(trainer: Train) -> None:
    client = trainer()
    response = client.train(body())
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"] == 'attachment; filename="made-up.zip"'
    report = report_of(response.content)
    assert (report["name"], report["samples"], report["experts"]) == ("made-up", 19, ["line"])
    groups = {model["feature_group"]: model for model in report["models"]}
    assert set(groups) == {"BPFOnly", "CPUTime"}
    assert groups["BPFOnly"]["components"]["package"]["mae"] < 5
    assert not list(client.folder.iterdir())  # nothing is left of a run that was waited for


def test_the_estimator_serves_what_comes_back_at_once(trainer: Train, tmp_path: Path) -> None:
    data = trainer().train(body()).content
    found = served(data, tmp_path, asked_power([[600.0, 4200.0], [0.0, 0.0]]))
    assert found["msg"] == ""
    busy, idle = found["powers"]["package"]
    assert busy == pytest.approx(32, abs=1.5)  # of 600 ms: 20 W and a fiftieth of a watt each
    assert 20 <= idle < busy


def test_models_of_a_real_answer_are_served_at_once(trainer: Train, tmp_path: Path) -> None:
    if not IDLE.exists():
        pytest.skip("needs ../shared/data/kepler_prometheus_idle.json")
    recorded = json.loads(IDLE.read_bytes())
    response = trainer().train(body(prom_response=recorded, energy_source="rapl-sysfs,acpi"))
    assert response.status_code == 200, response.text
    sources = {model["source"] for model in report_of(response.content)["models"]}
    assert sources == {"rapl-sysfs", "acpi"}
    found = served(response.content, tmp_path, asked_power([[100.0, 1.0]], "acpi"))
    assert found["msg"] == ""
    least, greatest = _measured(recorded["kepler_node_platform_joules_total"])
    assert least <= found["powers"]["platform"][0] <= 1.1 * greatest


def _measured(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """The least and the greatest mean watts between two points of counters that add up."""
    times = np.array([at for at, _ in rows[0]["values"]])
    joules = np.sum([[float(value) for _, value in row["values"]] for row in rows], axis=0)
    watts = np.diff(joules) / np.diff(times)
    return float(watts.min()), float(watts.max())


def test_power_above_idle_is_served_at_once(trainer: Train, tmp_path: Path) -> None:
    data = trainer().train(body()).content
    asked = {**asked_power([[600.0, 4200.0], [0.0, 0.0]]), "output_type": "DynPower"}
    found = served(data, tmp_path, asked)
    assert found["msg"] == ""
    busy, none = found["powers"]["package"]
    assert none == 0
    assert 8 < busy < 14  # of 600 ms: a fiftieth of a watt each, above the least that was drawn


@pytest.mark.parametrize(
    ("wanted", "outputs"),
    [
        (None, {"AbsPower", "DynPower"}),
        ({}, {"AbsPower", "DynPower"}),
        ({"dyn_trainers": []}, {"AbsPower"}),
        ({"abs_trainers": []}, {"DynPower"}),
        ({"abs_trainers": "default", "dyn_trainers": "default"}, {"AbsPower", "DynPower"}),
    ],
)
def test_only_the_output_types_with_trainers_come_back(
    trainer: Train, wanted: Any, outputs: set[str]
) -> None:
    data = trainer().train(body(trainer=wanted)).content
    report = report_of(data)
    assert {model["output_type"] for model in report["models"]} == outputs
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = set(archive.namelist())
    assert names == {
        *("report.json", "node_types.json"),
        *(f"models/{model['model']}.json" for model in report["models"]),
        *(f"artifacts/{model['digest']}.zip" for model in report["models"]),
    }


def test_the_same_request_gives_the_same_bytes(trainer: Train) -> None:
    client = trainer()
    assert client.train(body()).content == client.train(body()).content


def test_linear_trainers_give_weights_for_kepler(trainer: Train, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(trainer().train(body()).content)) as archive:
        archive.extractall(tmp_path / "store")
    store = ModelStore(open_store(f"file:{tmp_path / 'store'}"))
    for index in store.indexes().values():
        lines = store.artifact(index.current).manifest.lines
        idle = 20 if index.key.output_type == "AbsPower" else 0
        assert lines["package"].bias == pytest.approx(idle, abs=3)


@pytest.mark.parametrize("pack", [gzipped, zipped])
def test_a_packed_body_is_the_same(trainer: Train, pack: Any) -> None:
    client = trainer()
    plain = client.train(body()).content
    headers = (
        {"content-encoding": "gzip"} if pack is gzipped else {"content-type": "application/zip"}
    )
    assert client.train(pack(body()), headers=headers).content == plain


def test_prometheus_own_form_of_an_answer_is_the_same(trainer: Train) -> None:
    client = trainer()
    rows = [
        {**row, "metric": {"__name__": name, **row["metric"]}}
        for name, found in answer().items()
        for row in found
    ]
    own = {"status": "success", "data": {"resultType": "matrix", "result": rows}}
    assert report_of(client.train(body(prom_response=own)).content)["models"]


def test_a_machine_spec_names_the_node_type(trainer: Train) -> None:
    spec = {"processor": "xeon", "cores": 8, "chips": 1, "memory": 32, "frequency": 2500}
    report = report_of(trainer().train(body(machine_spec=spec)).content)
    assert {model["node_type"] for model in report["models"]} == {"xeon-8c-1s-32g-2500m"}


@pytest.mark.slow
def test_a_run_has_a_process_of_its_own(trainer: Train) -> None:
    client = trainer(ProcessRunner(("ridge",), 1024, 60.0))
    assert report_of(client.train(body()).content)["samples"] == 19
    assert_error(client.train(body(prom_response={})), 400, "prom_response", "no series of Kepler")


@pytest.mark.slow
def test_a_run_that_takes_too_long_is_ended(trainer: Train) -> None:
    client = trainer(ProcessRunner(("ridge",), 1024, 0.001))
    assert_error(client.train(body()), 413, "prom_response", "0.001 s")


@pytest.mark.slow
def test_a_run_that_takes_too_much_memory_is_ended(trainer: Train) -> None:
    client = trainer(ProcessRunner(("ridge",), 256, 60.0), limit=64 << 20)
    points = b",".join([b"[1,2]"] * 4_000_000)  # 24 MB, and as objects 400
    series = b'{"metric":{"container_id":"a"},"values":[' + points + b"]}"
    answered = b'{"' + USAGE.encode() + b'":[' + series + b"]}"
    head = b'{"name":"a","energy_source":"acpi","prom_response":'
    response = client.train(head + answered + b"}")
    assert_error(response, 413, "prom_response needs more than 256 MiB of memory")
    assert client.train(body()).status_code == 200


ENERGY = "kepler_node_package_joules_total"
USAGE = "kepler_container_bpf_cpu_time_ms_total"


def _later(name: str) -> dict[str, Any]:
    """An answer of which these series begin when the others have ended."""
    made = answer()
    for row in made[name]:
        row["values"] = [[at + 10_000, value] for at, value in row["values"]]
    return made


BAD: dict[str, tuple[bytes, list[str]]] = {
    "nothing": (b"", ["body is empty"]),
    "no JSON": (b"nonsense", ["body is nonsense"]),
    "cut off": (body()[:-1], ["body is", "truncated"]),
    "nested": (b'{"prom_response":' + b"[" * 100_000, ["nested too deep"]),
    "a list": (b"[]", ["body is []", "object"]),
    "no name": (body(name=None), ["name is missing"]),
    "a path for a name": (body(name="../x"), ["name is '../x'", "A-Z"]),
    "a number for a name": (body(name=7), ["name is 7", "str"]),
    "no source": (body(energy_source=None), ["energy_source is missing"]),
    "unknown source": (
        body(energy_source="sun"),
        ["energy_source has 'sun'", "rapl-sysfs, hypervisor"],
    ),
    "source not measured": (
        body(energy_source="acpi"),
        ["energy_source is 'acpi'", "rapl-sysfs only"],
    ),
    "a source that is none": (
        body(prom_response=answer(source="new\nline" * 1000)),
        ["energy_source is 'rapl-sysfs'", "new line"],
    ),
    "no answer": (
        json.dumps({"name": "a", "energy_source": "acpi"}).encode(),
        ["prom_response is missing"],
    ),
    "an answer that is null": (
        b'{"name":"a","energy_source":"acpi","prom_response":null}',
        ["prom_response", "object"],
    ),
    "an answer that is a list": (body(prom_response=[]), ["prom_response", "object"]),
    "an empty answer": (body(prom_response={}), ["prom_response", "no series of Kepler"]),
    "unknown metrics": (body(prom_response={"up": [series({}, [1, 1])]}), ["prom_response"]),
    "wrong series": (
        body(prom_response={USAGE: [{"metric": 7}]}),
        ["prom_response", f"{USAGE}[0]"],
    ),
    "an error of Prometheus": (
        body(prom_response={"status": "error", "error": "no such query"}),
        ["prom_response", "no such query"],
    ),
    "one series only": (
        body(prom_response={USAGE: answer()[USAGE][:1]}),
        ["prom_response", "no measured energy", USAGE.removesuffix("_total")],
    ),
    "energy only": (body(prom_response={ENERGY: answer()[ENERGY]}), ["prom_response", "no usage"]),
    "no overlap": (body(prom_response=_later(ENERGY)), ["prom_response", "no interval in common"]),
    "too short": (body(prom_response=answer(points=4)), ["3 samples", "at least 5"]),
    "unknown trainer": (
        body(trainer={"abs_trainers": ["Magic"]}),
        ["trainer.abs_trainers has 'Magic'", "SGDRegressorTrainer"],
    ),
    "a regressor by its path": (
        body(trainer={"abs_trainers": ["river.linear_model.LinearRegression()"]}),
        ["trainer.abs_trainers has 'river."],
    ),
    "a number for a trainer": (
        body(trainer={"abs_trainers": ["a", 7]}),
        ["trainer.abs_trainers[1] is 7"],
    ),
    "unknown isolator": (
        body(trainer={"isolator": "magic"}),
        ["trainer.isolator is 'magic'", "idle, min, none, profile, trainer"],
    ),
    "wrong isolator arguments": (
        body(trainer={"isolator_args": [1]}),
        ["trainer.isolator_args is [1]"],
    ),
    "unknown isolator argument": (
        body(trainer={"isolator_args": {"magic": 1}}),
        ["trainer.isolator_args has 'magic'", "isolator 'idle' heeds none"],
    ),
    "hints that are none": (
        body(trainer={"isolator": "trainer", "isolator_args": {"bg_hints": 7}}),
        ["trainer.isolator_args.bg_hints is 7", "a list of texts"],
    ),
    "no idle answer": (
        body(trainer={"isolator": "profile"}),
        ["trainer.idle_prom_response is missing", "'profile'"],
    ),
    "an idle answer without sense": (
        body(trainer={"isolator": "profile", "idle_prom_response": {}}),
        ["trainer.idle_prom_response", "no series of Kepler"],
    ),
    "an idle answer of nothing": (
        body(trainer={"isolator": "trainer", "idle_prom_response": 7}),
        ["trainer.idle_prom_response", "object"],
    ),
    "no models wanted": (
        body(trainer={"abs_trainers": [], "dyn_trainers": ""}),
        ["trainer.abs_trainers", "trainer.dyn_trainers", "both empty"],
    ),
    "unknown trainer of what is above idle": (
        body(trainer={"dyn_trainers": ["Magic"]}),
        ["trainer.dyn_trainers has 'Magic'", "XgboostFitTrainer"],
    ),
    "wrong machine": (body(machine_spec={"cores": -1}), ["machine_spec.cores is -1"]),
    "machines of another kind": (body(use_vm_metrics=True), ["use_vm_metrics is true"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_told_what_is_wrong(trainer: Train, case: str) -> None:
    content, named = BAD[case]
    client = trainer()
    assert_error(client.train(content), 400, *named)
    assert not list(client.folder.iterdir())


@pytest.mark.parametrize("case", ["one series only", "no overlap", "too short"])
def test_who_does_not_wait_is_told_the_same(trainer: Train, case: str) -> None:
    content, named = BAD[case]
    client = trainer()
    place = client.train(content, headers={"prefer": "respond-async"}).headers["location"]
    while (shown := client.get(place).json())["state"] not in ("done", "failed"):
        time.sleep(0.01)
    assert shown["state"] == "failed"
    assert all(name in shown["error"] for name in named)
    assert_error(client.get(f"{place}/result"), 400, *named)


def test_a_body_beyond_the_limit_is_refused(trainer: Train) -> None:
    client = trainer()
    assert_error(client.train(b" " * (LIMIT + 1)), 413, str(LIMIT))
    # A length that nobody announces is counted.
    assert_error(client.post("/train", content=iter([b" " * LIMIT, b"  "])), 413, str(LIMIT))
    assert not list(client.folder.iterdir())


def test_bombs_end_at_the_limit(trainer: Train) -> None:
    client = trainer()
    zeros = b"0" * (64 * LIMIT)
    packed = gzipped(zeros)
    assert len(packed) < LIMIT
    assert_error(client.train(packed, headers={"content-encoding": "gzip"}), 413, str(LIMIT))
    as_zip = {"content-type": "application/zip"}
    assert_error(client.train(zipped(zeros), headers=as_zip), 413, str(64 * LIMIT), str(LIMIT))
    lying = bytearray(zipped(zeros))
    # What the directory and the member's own header say of its size are 4 bytes each.
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = lying.index(mark) + place
        lying[at : at + 4] = (100).to_bytes(4, "little")
    assert_error(client.train(bytes(lying), headers=as_zip), 400, "zip")
    assert not list(client.folder.iterdir())


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (zipped(body(), "../../request.json"), "'../../request.json'"),
        (zipped(body(), "/etc/passwd"), "'/etc/passwd'"),
        (zipped(body(), "a/b.json"), "a plain file name"),
        (zipped(body(), "a.json", "b.json"), "2 members"),
        (zipped(body(), how=zipfile.ZIP_LZMA), "compression 14"),
        (b"PK\x03\x04 nonsense", "not a zip"),
        (body(), "not a zip"),
        (b"", "not a zip"),
    ],
)
def test_zips_with_paths_or_without_sense_are_refused(
    trainer: Train, content: bytes, named: str
) -> None:
    response = trainer().train(content, headers={"content-type": "application/zip"})
    assert_error(response, 400, named)


def test_other_encodings_are_refused(trainer: Train) -> None:
    client = trainer()
    headers = {"content-encoding": "br"}
    assert_error(client.train(body(), headers=headers), 415, "'br'", "gzip")
    gzip = {"content-encoding": "gzip"}
    assert_error(client.train(body(), headers=gzip), 400, "no gzip")
    assert_error(client.train(gzipped(body())[:-9], headers=gzip), 400, "no whole gzip")


def test_a_silent_client_is_hung_up_on(trainer: Train) -> None:
    client = trainer(silent_seconds=0.2)
    address = client.base_url.host, client.base_url.port
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"POST /train HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
    assert client.jobs.states()["receiving"] == 0


def test_unused_parts_of_a_request_do_not_matter(trainer: Train) -> None:
    found = request(more=1, trainer={"abs_trainers": "default", "idle_prom_response": None})
    assert report_of(trainer().train(json.dumps(found).encode()).content)["experts"] == ["ridge"]


def test_other_paths_and_methods(trainer: Train) -> None:
    client = trainer()
    assert_error(client.get("/train"), 405, "GET")
    assert_error(client.get("/jobs/none"), 404, "'none'")
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200


def test_runs_are_counted(trainer: Train) -> None:
    client = trainer()
    client.train(body())
    client.train(body(prom_response={}))
    page = client.get("/metrics").text
    assert 'wattstream_training_ended_total{outcome="done"} 1.0' in page
    assert 'wattstream_training_ended_total{outcome="failed"} 1.0' in page
    assert 'wattstream_training_jobs{state="running"} 0.0' in page
    counted = 'wattstream_http_requests_total{code="200",method="POST",route="/train"} 1.0'
    assert counted in page


def test_every_metric_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "trainer.md").read_text()
    rows = re.findall(r"^\| `(wattstream_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    documented = {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in rows
    }
    assert documented == {(one.name, one.kind, one.labels, one.help) for one in FAMILIES}


def test_curve_trainers_give_curves_for_kepler(trainer: Train, tmp_path: Path) -> None:
    content = body(trainer={"abs_trainers": ["LogarithmicRegressionTrainer"], "dyn_trainers": []})
    with zipfile.ZipFile(io.BytesIO(trainer().train(content).content)) as archive:
        archive.extractall(tmp_path / "store")
    store = ModelStore(open_store(f"file:{tmp_path / 'store'}"))
    for index in store.indexes().values():
        manifest = store.artifact(index.current).manifest
        assert not isinstance(manifest.curves, UnsetType)
        assert "package" in manifest.curves["LogarithmicRegressionTrainer"]
        assert "package" in manifest.lines
