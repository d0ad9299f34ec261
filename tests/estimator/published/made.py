"""Published weights as kepler-model-server writes them, made up."""

from __future__ import annotations

import json
from typing import Any

LINEAR = "SGDRegressorTrainer"
LOGISTIC = "LogisticRegressionTrainer"
LOGARITHMIC = "LogarithmicRegressionTrainer"
EXPONENTIAL = "ExponentialRegressionTrainer"
CURVES = {
    LOGISTIC: [80.0, 0.5, 8.0, 40.0],
    LOGARITHMIC: [30.0, 9.0, 45.0],
    EXPONENTIAL: [20.0, 1.5, 30.0],
}
"""Kepler's own test vectors; the scale there is 4000."""


def line(bias: float, weight: float, scale: float = 1000.0) -> dict[str, Any]:
    """A component's linear weights over CPU time."""
    variables = {"bpf_cpu_time_ms": {"scale": scale, "weight": weight}}
    return {
        "All_Weights": {
            "Bias_Weight": bias,
            "Categorical_Variables": {},
            "Numerical_Variables": variables,
        }
    }


def curve(weights: list[float], scale: float = 4000.0) -> dict[str, Any]:
    """A component's curve."""
    variables = {"bpf_cpu_time_ms": {"scale": scale}, "bpf_page_cache_hit": {"scale": 1.0}}
    return {"All_Weights": {"Numerical_Variables": variables, "CurveFit_Weights": weights}}


def attributes(cores: int, chips: int = 1, processor: str = "x") -> dict[str, Any]:
    """A machine in the index, where numbers are floats."""
    numbers = {"cores": float(cores), "chips": float(chips), "memory": 4.0, "frequency": 2000.0}
    return {"processor": processor, **numbers}


def pipeline(prefix: str = "some-pipeline/") -> dict[str, bytes]:
    """All four kinds for one machine of 8 cores, and a line for one of 64."""
    types = {
        "0": {"attrs": attributes(8), "members": ["one", "two"]},
        "3": {"attrs": attributes(64, 2, "y"), "members": ["three"]},
    }
    place = f"{prefix}rapl-sysfs/AbsPower/BPFOnly"
    files = {
        f"{prefix}node_type_index.json": types,
        f"{prefix}metadata.json": {"name": "some-pipeline"},
        f"{place}/{LINEAR}_0.json": {"package": line(10, 50, 8000), "dram": line(2, 4, 8000)},
        f"{place}/{LINEAR}_3.json": {"package": line(100, 300, 64000)},
    }
    for trainer, weights in CURVES.items():
        files[f"{place}/{trainer}_0.json"] = {"package": curve(weights)}
    return {name: json.dumps(content).encode() for name, content in files.items()}
