"""What of a node's power is taken to be above idle, by each isolator of a request."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimator.errors import WattstreamError
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.training.request import decode_request
from server.training.run import Trained, train
from tests.server.training.answers import IDLE, Answer, answer, request

HINTED = "c1"


def trained(found: object = None, **wanted: Any) -> Trained:
    spec = {"abs_trainers": ["ridge"], "dyn_trainers": ["ridge"], **wanted}
    asked = request(found if found is not None else named(answer(points=60)), trainer=spec)
    return train(decode_request(json.dumps(asked).encode()), ["ridge"])


def named(found: Answer) -> Answer:
    """The answer with containers' names beside their ids."""
    for rows in found.values():
        for row in rows:
            labels = row["metric"]
            if "container_id" in labels:
                labels["pod_name"] = f"pod-of-{labels['container_id']}"
                labels["container_namespace"] = "shop" if labels["container_id"] == "c0" else "sys"
    return found


def resting(points: int = 20) -> Answer:
    """Of the same machine, where one container does a little: 26 to 28 W."""
    found = answer(points, containers=1)
    for rows in found.values():
        for row in rows:
            start = row["values"][0][0]
            slow = "joules" in json.dumps(row["metric"]) or "source" in row["metric"]
            row["values"] = [
                [start + 3 * place, str((81 + place % 2) * place if slow else place)]
                for place in range(points)
            ]
            if "container_id" in row["metric"]:
                row["metric"]["container_id"] = HINTED
    return found


def above_idle(found: Trained, folder: Path, usage: float) -> float:
    """Watts that DynPower's model says of so much CPU time a second."""
    with zipfile.ZipFile(io.BytesIO(found.zip)) as archive:
        archive.extractall(folder)
    store = ModelStore(open_store(f"file:{folder}"))
    (index,) = [
        index
        for index in store.indexes().values()
        if (index.key.output_type, index.key.feature_group) == ("DynPower", "CPUTime")
    ]
    watts = store.artifact(index.current).model.predict_many(np.array([[usage]]))
    return float(watts[0, 0])


def test_each_isolator_subtracts_what_it_says(tmp_path: Path) -> None:
    def above(folder: str, **wanted: Any) -> float:
        return above_idle(trained(**wanted), tmp_path / folder, 600.0)

    # 600 ms a second cost 12 W above 20 W, and the machine never drew less than these.
    whole = above("none", isolator="none")
    assert whole == pytest.approx(32, abs=1)
    assert above("min", isolator="min") == pytest.approx(12, abs=3)
    profile = above("profile", isolator="profile", idle_prom_response=resting())
    assert whole - profile == pytest.approx(27, abs=2)
    # The least power of the default is that of the rows with the least usage.
    assert 0 < above("idle") < whole


def test_hints_find_background_by_any_part_of_the_name(tmp_path: Path) -> None:
    of_one = trained(isolator="trainer", isolator_args={"bg_hints": ["sys"]})
    also = trained(isolator="trainer", isolator_args={"target_hints": "pod-of-c0"})
    by_idle = trained(isolator="trainer", idle_prom_response=resting())
    assert of_one.zip == also.zip == by_idle.zip
    none = trained(isolator="trainer", isolator_args={"bg_hints": ["nobody"]})
    assert none.zip != of_one.zip
    # What 300 ms of the other container cost is 6 W, when c1's part and idle are taken away.
    assert above_idle(of_one, tmp_path, 300.0) == pytest.approx(6, abs=2)


def test_an_idle_answer_of_another_machine_is_of_no_use() -> None:
    idle = resting()
    idle["kepler_node_info"] = [
        {"metric": {"instance": "n1", "cpu_architecture": "Broadwell"}, "values": [[1, "1"]]}
    ]
    for row in idle["kepler_node_info"]:
        row["values"] = [
            [at, "1"] for at, _ in idle["kepler_node_package_joules_total"][0]["values"]
        ]
    with pytest.raises(WattstreamError, match=r"idle_prom_response is of node type broadwell.*"):
        trained(isolator="profile", idle_prom_response=idle)


@pytest.mark.parametrize("isolator", ["idle", "min", "none", "profile", "trainer"])
def test_every_isolator_learns_from_a_real_answer(isolator: str) -> None:
    if not IDLE.exists():
        pytest.skip("needs ../shared/data/kepler_prometheus_idle.json")
    recorded = json.loads(IDLE.read_bytes())
    found = trained(recorded, isolator=isolator, idle_prom_response=recorded)
    outputs = {model["output_type"] for model in found.report["models"]}
    # Six samples: of the first two nobody can say yet what their background drew.
    missing = {"DynPower"} if isolator == "trainer" else set()
    assert found.report["missing"] == sorted(missing)
    assert outputs == {"AbsPower", "DynPower"} - missing


def test_a_zip_without_models_is_an_error() -> None:
    with pytest.raises(WattstreamError, match="5 samples make no model of DynPower: at least 5"):
        trained(answer(points=6), isolator="trainer", abs_trainers=[], isolator_args={})
