from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from estimator.choosing.choice import Query
from estimator.errors import NoModelError
from estimator.kepler_socket.answering import Answerer
from estimator.machine import MachineSpec
from estimator.published.imported import ImportedModels, read_imported
from tests.estimator.served import Shelf, power_request

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "kepler-model-db"
FEATURES = ("bpf_cpu_time_ms", "bpf_page_cache_hit")


def weights(bias: float, weight: float, scale: float = 1000.0) -> dict[str, Any]:
    variables = {"bpf_cpu_time_ms": {"scale": scale, "weight": weight}}
    return {
        "All_Weights": {
            "Bias_Weight": bias,
            "Categorical_Variables": {},
            "Numerical_Variables": variables,
        }
    }


def publish(
    folder: Path, number: int, cores: int, document: dict[str, Any], output_type: str = "AbsPower"
) -> Path:
    pipeline = folder / "some-pipeline"
    source = "acpi" if "platform" in document else "rapl-sysfs"
    place = pipeline / source / output_type / "BPFOnly"
    place.mkdir(parents=True, exist_ok=True)
    index = pipeline / "node_type_index.json"
    types = json.loads(index.read_text()) if index.exists() else {}
    attributes = {"processor": "x", "cores": float(cores), "chips": 1.0, "memory": 4.0}
    types[str(number)] = {"attrs": {**attributes, "frequency": 2000.0}, "members": ["one"]}
    index.write_text(json.dumps(types))
    path = place / f"SGDRegressorTrainer_{number}.json"
    path.write_text(json.dumps(document))
    return path


def asked(answerer: Answerer, **changes: object) -> dict[str, Any]:
    request = {**power_request([[2000.0, 1.0], [0.0, 0.0]], metrics=FEATURES), **changes}
    answer: dict[str, Any] = json.loads(answerer.answer(json.dumps(request).encode()))
    return answer


def test_where_there_is_no_model_imported_weights_answer_and_say_so(tmp_path: Path) -> None:
    publish(tmp_path, 1, 8, {"package": weights(10, 5), "dram": weights(2, 1)})
    publish(tmp_path, 2, 64, {"package": weights(100, 5)})
    machine = MachineSpec(cores=4)
    answerer = Answerer(Shelf(), machine, fallback=ImportedModels(tmp_path, machine))
    answer = asked(answerer)
    assert answer["powers"] == {"package": [20, 10], "dram": [4, 2]}
    assert "imported weights of x-8c-1s-4g-2000m" in answer["msg"]
    assert answer["core_ratio"] == 0.5
    above = asked(answerer, output_type="DynPower")
    assert above["powers"] == {"package": [10, 0], "dram": [2, 0]}


def test_who_names_a_trainer_or_a_filter_gets_no_other(tmp_path: Path) -> None:
    publish(tmp_path, 1, 8, {"package": weights(10, 5)})
    answerer = Answerer(Shelf(), None, fallback=ImportedModels(tmp_path))
    for changes in ({"trainer_name": "Wattstream"}, {"filter": "mae:5"}):
        answer = asked(answerer, **changes)
        assert answer["powers"]["package"] == [0, 0]
        assert answer["msg"].startswith("no model, so 0 W")


def test_without_either_all_is_0_and_msg_says_why(tmp_path: Path) -> None:
    answer = asked(Answerer(Shelf(), None, fallback=ImportedModels(tmp_path / "gone")))
    assert answer["powers"]["package"] == [0, 0]
    assert answer["msg"].startswith("no model, so 0 W")


def test_above_idle_a_published_bias_does_not_count(tmp_path: Path) -> None:
    publish(tmp_path, 1, 8, {"package": weights(89.26, 5)}, "DynPower")
    answerer = Answerer(Shelf(), None, fallback=ImportedModels(tmp_path))
    assert asked(answerer, output_type="DynPower")["powers"]["package"] == [10, 0]


@pytest.mark.parametrize(
    "document",
    [
        "not JSON",
        "[]",
        '{"package": 5}',
        '{"model_name": "x"}',
        '{"package": {"All_Weights": {"Bias_Weight": "x"}}}',
    ],
)
def test_what_cannot_be_read_is_said_and_left_out(
    tmp_path: Path, document: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = publish(tmp_path, 1, 8, {"package": weights(1, 1)})
    path.write_text(document)
    assert read_imported(tmp_path) == ()
    assert str(path) in caplog.text


def test_a_damaged_index_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(tmp_path, 1, 8, {"package": weights(1, 1)})
    (tmp_path / "some-pipeline" / "node_type_index.json").write_text("{")
    assert read_imported(tmp_path) == ()
    assert "node_type_index.json" in caplog.text


def test_it_is_read_when_it_is_needed(tmp_path: Path) -> None:
    models = ImportedModels(tmp_path)
    publish(tmp_path, 1, 8, {"platform": weights(1, 1)})
    assert len(models.entries) == 1
    with pytest.raises(NoModelError):
        models.select(Query(metrics=FEATURES))


def test_published_weights_answer() -> None:
    if not PUBLISHED.is_dir():
        pytest.skip("needs ../shared/data/kepler-model-db")
    machine = MachineSpec(processor="intel_xeon_x3360", cores=4, chips=1, memory=4, frequency=2800)
    answerer = Answerer(Shelf(), machine, fallback=ImportedModels(PUBLISHED, machine))
    for source, component in (("acpi", "platform"), ("intel_rapl", "package")):
        busy, idle = asked(answerer, source=source)["powers"][component]
        assert busy > idle > 0
