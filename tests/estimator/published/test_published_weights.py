from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from estimator.artifacts.artifact import decode, encode
from estimator.choosing.catalog import Entry
from estimator.errors import DamagedError
from estimator.machine import MachineSpec
from estimator.published.kepler_weights import evaluate_as_kepler, weights_answer
from estimator.published.published_weights import TRAINERS, Place, main_feature, published_artifact
from tests.estimator.published.made import CURVES, EXPONENTIAL, LINEAR, LOGARITHMIC, curve, line

MACHINE = MachineSpec(processor="x", cores=8)


def artifact(document: Any, trainer: str = LINEAR, output_type: Any = "AbsPower") -> Any:
    place = Place("p", "rapl-sysfs", output_type, "BPFOnly", trainer, "0")
    return published_artifact(json.dumps(document).encode(), place, MACHINE, 3)


@pytest.mark.parametrize("trainer", CURVES)
def test_a_published_curve_says_what_kepler_makes_of_it(trainer: str) -> None:
    document = {"package": curve(CURVES[trainer])}
    made = artifact(document, trainer)
    for rate in (0.0, 2000.0, 4000.0):
        rows = np.array([[rate, 0.0]])
        kepler = evaluate_as_kepler(
            {"model_name": f"{trainer}_0", **document}, {"bpf_cpu_time_ms": rate}
        )
        watts = made.model.predict_many(rows)[0, 0]
        assert watts == pytest.approx(kepler["package"] / 1000, abs=1e-3)


def test_a_published_line_says_what_kepler_makes_of_it() -> None:
    document = {"package": line(10.0, 50.0), "dram": line(2.0, 4.0)}
    made = artifact(document)
    kepler = evaluate_as_kepler({"model_name": "SGD_0", **document}, {"bpf_cpu_time_ms": 1500.0})
    watts = made.model.predict_many(np.array([[1500.0]]))[0]
    assert watts.tolist() == pytest.approx([kepler["package"] / 1000, kepler["dram"] / 1000])


@pytest.mark.parametrize("trainer", TRAINERS)
def test_it_survives_the_store_and_is_marked(trainer: str) -> None:
    document = {"package": line(10, 5) if trainer == LINEAR else curve(CURVES[trainer])}
    made = artifact(document, trainer)
    data = encode(made)
    again = decode(data)
    assert encode(artifact(document, trainer)) == data
    assert again.manifest == made.manifest
    assert again.manifest.key.imported == f"p/{trainer}"
    assert again.manifest.key.slug.endswith(f".imported-p_{trainer}")
    assert again.manifest.members_known == 3
    rows = np.array([[0.0] * len(made.manifest.features), [700.0] * len(made.manifest.features)])
    assert (again.model.predict_many(rows) == made.model.predict_many(rows)).all()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_kepler_gets_back_the_weights_that_were_published(trainer: str) -> None:
    document = {"package": line(10, 5) if trainer == LINEAR else curve(CURVES[trainer])}
    made = artifact(document, trainer)
    answer = weights_answer(Entry("d", made.manifest, made.model, 7), trainer)
    assert answer["model_name"] == f"{trainer}_7"
    values = {"bpf_cpu_time_ms": 800.0}
    named = {"model_name": f"{trainer}_0", **document}
    assert evaluate_as_kepler(answer, values) == evaluate_as_kepler(named, values)


def test_a_curve_ends_where_its_data_ended() -> None:
    made = artifact({"package": curve([1.0, 500.0, 0.0])}, EXPONENTIAL)
    rows = np.array([[1e9, 0.0], [4000.0, 0.0], [1.0, 0.0]])
    far, edge, near = made.model.predict_many(rows)[:, 0].tolist()
    assert far == edge
    assert np.isfinite([far, near]).all()


def test_where_a_logarithm_says_nothing_the_answer_is_the_least() -> None:
    made = artifact({"package": curve([30.0, -9.0, 45.0])}, LOGARITHMIC)
    assert made.model.predict_many(np.array([[4000.0, 0.0]])).tolist() == [[0.0]]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_above_idle_there_is_nothing_without_usage(trainer: str) -> None:
    document = {"package": line(89, 5) if trainer == LINEAR else curve(CURVES[trainer])}
    made = artifact(document, trainer, "DynPower")
    assert made.model.predict_many(np.zeros((1, len(made.manifest.features)))).tolist() == [[0.0]]


def test_of_which_feature_a_curve_is_depends_on_the_component() -> None:
    basic = ["bpf_cpu_time_ms", "bpf_page_cache_hit", "cache_miss", "cpu_instructions"]
    assert main_feature(basic, "package") == "cpu_instructions"
    assert main_feature(basic, "dram") == "cache_miss"
    assert main_feature(basic[:2], "platform") == "bpf_cpu_time_ms"


@pytest.mark.parametrize(
    ("document", "trainer", "message"),
    [
        ([], LINEAR, "no weights"),
        ({"model_name": "x"}, LINEAR, "of no component"),
        ({"package": {"All_Weights": {}}}, LINEAR, "name no feature"),
        ({"package": 5}, LINEAR, "no weights"),
        ({"package": curve([1.0, 2.0, 3.0])}, LINEAR, "has CurveFit_Weights"),
        ({"package": curve([1.0, 2.0])}, EXPONENTIAL, "has 2 CurveFit_Weights"),
        ({"package": line(1, 1)}, LOGARITHMIC, "has 0 CurveFit_Weights"),
        (
            {
                "dram": {
                    "All_Weights": {
                        "Numerical_Variables": {"bpf_cpu_time_ms": {"scale": 1.0}},
                        "CurveFit_Weights": [1.0, 1.0, 1.0],
                    }
                }
            },
            LOGARITHMIC,
            "of which",
        ),
    ],
)
def test_what_is_wrong_is_named(document: Any, trainer: str, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        artifact(document, trainer)


def test_numbers_that_are_none_are_refused() -> None:
    data = b'{"package": {"All_Weights": {"Bias_Weight": 1e999}}}'
    with pytest.raises(DamagedError):
        published_artifact(data, Place("p", "acpi", "AbsPower", "g", LINEAR, "0"), MACHINE)
