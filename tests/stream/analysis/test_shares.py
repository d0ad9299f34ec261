from __future__ import annotations

import numpy as np
import pytest

from estimator.errors import WattstreamError
from stream.analysis.shares import UsageByWorkload
from stream.records import VERSION, UsageRecord, Workloads
from tests.stream.sampled import START_MS, samples

CPU = "bpf_cpu_time_ms"


def usage(number: int, values: dict[str, float], mode: str = "counter") -> UsageRecord:
    rows = Workloads(list(values), ["container"] * len(values), {CPU: list(values.values())})
    return UsageRecord(
        VERSION,
        "n1",
        START_MS + 3000 * number,
        "counter" if mode == "counter" else "rate",
        3.0,
        workloads=rows,
    )


def test_power_above_the_least_is_shared_by_usage() -> None:
    used = UsageByWorkload(CPU)
    for number in range(6):
        used.see(usage(number, {"web": 300.0 * number, "db": 100.0 * number}))
    made = samples(5)
    shares = used.shares(made, "n1", "package", 8)
    assert shares.workloads == ["web", "db", "others"]
    measured = np.array([sample.watts[0] for sample in made])
    assert shares.level == measured.min()
    np.testing.assert_allclose(shares.watts.sum(axis=1), measured - shares.level)
    np.testing.assert_allclose(shares.watts[:, 0], 3 * shares.watts[:, 1])
    assert shares.seconds.tolist() == [0.0, 3.0, 6.0, 9.0, 12.0]


def test_those_beyond_the_greatest_are_others() -> None:
    used = UsageByWorkload(CPU)
    for number in range(1, 6):
        used.see(usage(number, {"a": 1.0, "b": 2.0, "c": 3.0}, mode="rate"))
    made = samples(5)
    shares = used.shares(made, "n1", "package", 1)
    assert shares.workloads == ["c", "others"]
    np.testing.assert_allclose(shares.watts[:, 0], shares.watts[:, 1], atol=1e-9)


def test_a_node_without_workloads() -> None:
    with pytest.raises(WattstreamError, match=f"node 'n1' has no workloads with {CPU} and power"):
        UsageByWorkload(CPU).shares(samples(3), "n1", "package", 8)
