from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimator.errors import MisuseError, WattstreamError
from stream.analysis.evaluate import evaluate
from stream.learning.pools import pool
from stream.sources.trace import TraceSource

NX12 = Path(__file__).parents[4] / "shared/data/nx12/rapl_basic.csv"
MEASURES = {"mae", "rmse", "mape", "r2", "bias", "served"}


def trace(tmp_path: Path, rows: int, columns: Sequence[str], power: Sequence[str]) -> TraceSource:
    """A trace whose first power is a line of the first column, and the second always zero."""
    rng = np.random.default_rng(4)
    lines = [",".join(["timestamp", *columns, *power])]
    for row in range(rows):
        rates = rng.uniform(0, 100, len(columns))
        watts = [50 + 2 * rates[0] + rng.normal(0, 0.1), 0.0, 7.0][: len(power)]
        lines.append(",".join(str(value) for value in (1_700_000_000 + 5 * row, *rates, *watts)))
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(lines))
    return TraceSource(path, features=list(columns))


def groups(source: TraceSource) -> dict[str, tuple[str, ...]]:
    return {"trace": tuple(sorted(source.features))}


def run(source: TraceSource) -> dict[str, Any]:
    return evaluate(source, pool(groups=groups(source)))


def test_the_report_has_the_promised_shape(tmp_path: Path) -> None:
    source = trace(tmp_path, 400, ["x", "y"], ["package_power", "uncore_power", "platform_power"])
    report = run(source)
    assert list(report) == ["samples", "seconds", "samples_per_second", "components"]
    assert report["samples"] == 400
    assert report["seconds"] > 0
    assert report["samples_per_second"] == pytest.approx(400 / report["seconds"], rel=0.05)
    assert set(report["components"]) == {"package", "platform"}  # uncore is always zero
    for errors in report["components"].values():
        assert set(errors) == MEASURES
        assert list(errors["served"]) == ["60", "300", "1200"]
        for served in errors["served"].values():
            assert list(served) == ["mae"]
            assert math.isfinite(served["mae"])
    package = report["components"]["package"]
    assert package["mae"] < 5
    assert package["r2"] > 0.9
    assert abs(package["bias"]) <= package["mae"] <= package["rmse"]
    assert report["components"]["platform"]["r2"] is None  # it never varies


def test_a_horizon_that_was_never_reached_has_no_error(tmp_path: Path) -> None:
    report = run(trace(tmp_path, 30, ["x"], ["package_power"]))
    served = report["components"]["package"]["served"]
    assert served["60"]["mae"] is not None
    assert (served["300"]["mae"], served["1200"]["mae"]) == (None, None)


def test_twice_the_same_trace_has_the_same_errors(tmp_path: Path) -> None:
    source = trace(tmp_path, 200, ["x", "y"], ["package_power"])
    again = TraceSource(tmp_path / "trace.csv", features=["x", "y"])
    assert run(source)["components"] == run(again)["components"]


def test_of_several_groups_the_better_one_is_reported(tmp_path: Path) -> None:
    source = trace(tmp_path, 200, ["x", "y"], ["package_power"])
    both = evaluate(source, pool(groups={"good": ("x",), "bad": ("y",)}))
    alone = TraceSource(tmp_path / "trace.csv", features=["x", "y"])
    good = evaluate(alone, pool(groups={"good": ("x",)}))
    assert both["components"] == good["components"]


def test_a_single_sample_has_no_errors_yet(tmp_path: Path) -> None:
    report = run(trace(tmp_path, 1, ["x"], ["package_power"]))
    assert report["samples"] == 1
    assert report["components"]["package"]["mae"] is None


def test_a_trace_without_a_group_has_nothing_to_learn_from(tmp_path: Path) -> None:
    source = trace(tmp_path, 20, ["x"], ["package_power"])
    with pytest.raises(MisuseError, match=r"trace .*: nothing to learn from"):
        evaluate(source, pool(groups={"other": ("z",)}))


def test_a_trace_without_power_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisuseError):
        run(trace(tmp_path, 20, ["x"], []))


class Broken:
    """A source that cannot go on."""

    name = "broken"
    interval_seconds = None

    def poll(self) -> None:
        raise WattstreamError("line 7 is cut off")

    def close(self) -> None:
        pass


def test_a_source_that_fails_fails_the_evaluation() -> None:
    with pytest.raises(WattstreamError, match="line 7 is cut off"):
        evaluate(Broken(), pool())


def test_who_waits_is_told_how_far_it_is(tmp_path: Path) -> None:
    source, told = trace(tmp_path, 300, ["x"], ["package_power"]), list[tuple[int, int]]()
    evaluate(source, pool(groups=groups(source)), lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (601, 601)  # a usage and a power record each, and power at the start


def test_a_recorded_machine_is_learned_well_enough() -> None:
    if not NX12.exists():
        pytest.skip("needs ../shared/data/nx12/rapl_basic.csv")
    features = ["bpf_cpu_time_us", "cache_miss", "cpu_cycles", "cpu_instructions"]
    source = TraceSource(NX12, features=features)
    components = run(source)["components"]
    assert components["package"]["mae"] <= 4.4
    assert components["dram"]["mae"] <= 1.6
    assert components["package"]["served"]["60"]["mae"] <= 9.5
