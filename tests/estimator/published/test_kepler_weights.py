from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.artifacts.artifact import Line
from estimator.choosing.catalog import Entry
from estimator.errors import DamagedError, NoModelError
from estimator.published.kepler_weights import evaluate_as_kepler, weights_answer
from tests.estimator.artifacts.made import made_artifact


def entry_of(number: int = 3, **arguments: Any) -> Entry:
    artifact = made_artifact(**arguments)
    return Entry("", artifact.manifest, artifact.model, number)


def weights(bias: float = 0.0, curve: list[float] | None = None, **variables: Any) -> Any:
    """``All_Weights`` of variables given as (scale, weight)."""
    numerical = {name: {"scale": s, "weight": w} for name, (s, w) in variables.items()}
    all_weights: dict[str, Any] = {"Bias_Weight": bias, "Numerical_Variables": numerical}
    if curve is not None:
        all_weights["CurveFit_Weights"] = curve
    return {"All_Weights": all_weights}


LINEAR = "SGDRegressorTrainer_0"
PLATFORM = {
    "model_name": LINEAR,
    "platform": weights(
        63.732101547596734, bpf_cpu_time_ms=(3991.690709751875, 60.735455390707436)
    ),
}


@pytest.mark.parametrize(
    ("rate", "core_ratio", "milliwatts"),
    [(2000, 1, 94163), (7983.38141950375, 1, 185203), (0, 0.5, 31866)],
)
def test_a_linear_platform(rate: float, core_ratio: float, milliwatts: int) -> None:
    said = evaluate_as_kepler(PLATFORM, {"bpf_cpu_time_ms": rate}, core_ratio=core_ratio)
    assert said == {"platform": milliwatts}


@pytest.mark.parametrize(
    ("cpu", "page_cache", "milliwatts"),
    [(2000, 50, (38500, 37000, 1500, 4500)), (0, 0, (12500, 11000, 1500, 3000))],
)
def test_linear_components(cpu: float, page_cache: float, milliwatts: tuple[int, ...]) -> None:
    package = weights(10, bpf_cpu_time_ms=(4000, 50), bpf_page_cache_hit=(200, 4))
    package["All_Weights"]["Categorical_Variables"] = {
        "cpu_architecture": {"Sky Lake": {"weight": 2.5}}
    }
    model = {
        "model_name": LINEAR,
        "package": package,
        "uncore": weights(1.5),
        "dram": weights(3, bpf_page_cache_hit=(200, 6)),
    }
    values = {"cpu_cycles": 5.0, "bpf_cpu_time_ms": cpu, "bpf_page_cache_hit": page_cache}
    said = evaluate_as_kepler(model, values, architecture="Sky Lake")
    assert said == dict(zip(("package", "core", "uncore", "dram"), milliwatts, strict=True))
    elsewhere = evaluate_as_kepler(model, values, architecture="Ice Lake")
    assert elsewhere["package"] == milliwatts[0] - 2500


@pytest.mark.parametrize(
    ("trainer", "curve", "said"),
    [
        ("Logistic", [80, 0.5, 8, 40], {2000: 80000, 3000: 110463, 0: 41438}),
        ("Logarithmic", [30, 9, 45], {2000: 96142, 4000: 114077, 0: 45000}),
        ("Exponential", [20, 1.5, 30], {2000: 72340, 4000: 119633, 0: 50000}),
    ],
)
def test_curves_of_the_first_feature(
    trainer: str, curve: list[float], said: dict[int, int]
) -> None:
    model = {
        "model_name": f"{trainer}RegressionTrainer_12",
        "platform": weights(99, curve, bpf_cpu_time_ms=(4000, 0)),
    }
    for rate, milliwatts in said.items():
        assert evaluate_as_kepler(model, {"bpf_cpu_time_ms": rate}) == {"platform": milliwatts}
        # Another feature first in the list: the same whatever the load.
        constant = evaluate_as_kepler(model, {"cpu_cycles": 7.0, "bpf_cpu_time_ms": rate})
        assert constant == {"platform": said[0]}


@pytest.mark.parametrize(
    ("model", "milliwatts"),
    [
        ({"model_name": LINEAR, "platform": weights(1.001)}, 1000),
        ({"model_name": LINEAR, "platform": weights(-1.5)}, 18446744073709550116),
        ({"model_name": LINEAR, "platform": weights(-0.0001)}, 0),
        ({"model_name": LINEAR, "platform": weights(1, a=(0, 5))}, 1000),
        (
            {
                "model_name": "LogarithmicRegressionTrainer_0",
                "platform": weights(0, [30, -9, 45], a=(1, 0)),
            },
            9223372036854775808,
        ),
        (
            {
                "model_name": "LogisticRegressionTrainer_0",
                "platform": weights(0, [80, 0, -1e6, 40], a=(1, 0)),
            },
            40000,
        ),
        ({"model_name": "", "platform": weights(2)}, 2000),
        ({"model_name": "MyTrainer_1", "platform": weights(2)}, 2000),
        ({"model_name": LINEAR, "platform": weights(2), "package": weights(9)}, 2000),
    ],
)
def test_edges(model: dict[str, Any], milliwatts: int) -> None:
    assert evaluate_as_kepler(model, {"a": 5.0}) == {"platform": milliwatts}


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"model_name": LINEAR, "psys": weights(1)},
        {"model_name": LINEAR, "platform": weights(1, [1, 2, 3])},
        {"model_name": "LogisticRegressionTrainer_0", "platform": weights(1, [1, 2, 3])},
        {"model_name": "LogisticRegressionTrainer_0", "platform": weights(1)},
        {"model_name": "ExponentialRegressionTrainer_0", "platform": weights(1, [1, 2, 3, 4])},
    ],
)
def test_what_kepler_refuses_or_breaks_down_at(model: dict[str, Any]) -> None:
    with pytest.raises(DamagedError):
        evaluate_as_kepler(model, {"a": 1.0})


def test_a_package_holds_its_parts() -> None:
    model = {
        "model_name": LINEAR,
        "package": weights(1),
        "core": weights(2),
        "uncore": weights(0.5),
    }
    said = evaluate_as_kepler(model, {})
    assert said == {"package": 2500, "core": 2000, "uncore": 500, "dram": 0}


# Answers --------------------------------------------------------------------------------------


def test_the_answer_is_keplers_json_to_the_letter() -> None:
    answer = json.loads(msgspec.json.encode(weights_answer(entry_of(group="CPUTime"))))
    line = {
        "All_Weights": {
            "Bias_Weight": 10.0,
            "Categorical_Variables": {},
            "Numerical_Variables": {"bpf_cpu_time_ms": {"scale": 4000.0, "weight": 50.0}},
        }
    }
    assert answer == {
        "model_name": "SGDRegressorTrainer_3",
        "machine_spec": {
            "vendor": "intel",
            "processor": "xeon_gold_6130",
            "cores": 64,
            "chips": 2,
            "memory": 188,
            "frequency": 2100,
            "threads_per_core": 2,
        },
        "package": line,
        "dram": line,
    }
    numbers = [value for value in answer["machine_spec"].values() if not isinstance(value, str)]
    assert all(type(number) is int for number in numbers)
    assert b"CurveFit_Weights" not in msgspec.json.encode(answer)


def test_platform_stands_alone_and_psys_is_left_out() -> None:
    platform = weights_answer(entry_of(source="acpi", components=("platform",)))
    assert set(platform) == {"model_name", "machine_spec", "platform"}
    rapl = weights_answer(entry_of(components=("package", "core", "uncore", "dram", "psys")))
    assert set(rapl) == {"model_name", "machine_spec", "package", "core", "uncore", "dram"}
    with pytest.raises(NoModelError, match="no linear weights"):
        weights_answer(entry_of(components=("psys",)))
    with pytest.raises(NoModelError, match="no linear weights"):
        weights_answer(entry_of(with_lines=False))


@given(
    bias=st.floats(0, 500),
    weight=st.floats(0, 500),
    scale=st.floats(1e-3, 1e12),
    rate=st.floats(0, 1e12),
)
def test_kepler_says_what_the_line_says(
    bias: float, weight: float, scale: float, rate: float
) -> None:
    entry = entry_of(group="CPUTime", source="acpi", components=("platform",))
    line = Line(bias, {"bpf_cpu_time_ms": weight}, {"bpf_cpu_time_ms": scale})
    manifest = msgspec.structs.replace(entry.manifest, lines={"platform": line})
    answer = weights_answer(msgspec.structs.replace(entry, manifest=manifest))
    sent = json.loads(msgspec.json.encode(answer))
    watts = bias + weight * (rate / scale)
    milliwatts = watts * 1000
    said = evaluate_as_kepler(sent, {"cpu_cycles": 9.0, "bpf_cpu_time_ms": rate})["platform"]
    if milliwatts < 2**64:
        assert said == math.floor(milliwatts)


def test_a_standardised_line_can_be_written_exactly() -> None:
    # y = b + w (x - mean) / std, as a line through the features' own units.
    w, mean, std, b, s = 2.0, 100.0, 50.0, 10.0, 4000.0
    line = Line(bias=b - w * mean / std, weights={"a": w * s / std}, scales={"a": s})
    assert (line.weights["a"], line.bias) == (160, 6)
    model = {"model_name": LINEAR, "platform": weights(line.bias, a=(s, line.weights["a"]))}
    assert evaluate_as_kepler(model, {"a": 300.0}) == {"platform": 18000}
    assert b + w * (300 - mean) / std == 18
