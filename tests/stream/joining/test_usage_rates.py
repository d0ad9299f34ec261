from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.machine import MachineSpec
from stream.joining.usage_rates import (
    layout,
    rates_between,
    rates_within,
    reading,
    restore_reading,
)
from stream.records import UsageRecord
from tests.stream.builders import MACHINE, usage

GAUGE = "cgroupfs_memory_usage_bytes"


def rates(before: UsageRecord, after: UsageRecord) -> dict[str, float] | None:
    found = rates_between(reading(before), reading(after))
    if found is None:
        return None
    features, values = found
    assert list(features) == sorted(features)
    return dict(zip(features, values.tolist(), strict=True))


def test_rates_of_the_same_workloads_add_up() -> None:
    before = usage(1000, {"cpu_cycles": [10, 20], "cache_miss": [1, 1]})
    after = usage(3000, {"cpu_cycles": [14, 30], "cache_miss": [1, 2]})
    assert rates(before, after) == {"cache_miss": 0.5, "cpu_cycles": 7.0}


def test_a_workload_in_another_row_is_the_same() -> None:
    before = usage(0, {"cpu_cycles": [10, 1000]}, ids=["x", "y"])
    after = usage(1000, {"cpu_cycles": [1005, 12]}, ids=["y", "x"])
    assert rates(before, after) == {"cpu_cycles": 7.0}


def test_what_appeared_or_vanished_does_not_count() -> None:
    before = usage(0, {"cpu_cycles": [10, 500]}, ids=["stays", "goes"])
    after = usage(1000, {"cpu_cycles": [9999, 13]}, ids=["comes", "stays"])
    assert rates(before, after) == {"cpu_cycles": 3.0}


def test_other_workloads_altogether_are_0() -> None:
    before = usage(0, {"cpu_cycles": [10]}, ids=["x"])
    assert rates(before, usage(1000, {"cpu_cycles": [5]}, ids=["y"])) == {"cpu_cycles": 0.0}


def test_no_workloads_are_0() -> None:
    assert rates(usage(0, {"cpu_cycles": []}), usage(1000, {"cpu_cycles": []})) == {
        "cpu_cycles": 0.0
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (usage(0, {"x": [5, 5]}), usage(1000, {"x": [9, 4]})),
        (usage(0, x=5), usage(1000, x=4)),
        (usage(0, {"x": [5, 5]}, ids=["p", "q"]), usage(1000, {"x": [4, 5]}, ids=["q", "p"])),
    ],
)
def test_a_counter_that_fell_is_a_reset(before: UsageRecord, after: UsageRecord) -> None:
    assert rates(before, after) is None


def test_gauges_are_levels() -> None:
    before = usage(0, {GAUGE: [100, 900], "cpu_cycles": [1, 1]}, procs_running=9, interrupts=1)
    after = usage(2000, {GAUGE: [70, 30], "cpu_cycles": [2, 2]}, procs_running=4, interrupts=7)
    assert rates(before, after) == {
        GAUGE: 100.0,
        "cpu_cycles": 1.0,
        "interrupts": 3.0,
        "procs_running": 4.0,
    }


def test_a_gauge_counts_for_workloads_that_have_just_come() -> None:
    before = usage(0, {GAUGE: [1]}, ids=["x"])
    assert rates(before, usage(1000, {GAUGE: [2, 40]}, ids=["x", "new"])) == {GAUGE: 42.0}


def test_what_the_node_says_overrides_the_sum_over_its_workloads() -> None:
    before = usage(0, {"cpu_cycles": [1, 2], "cache_miss": [0, 0]}, cpu_cycles=100)
    after = usage(1000, {"cpu_cycles": [2, 4], "cache_miss": [1, 1]}, cpu_cycles=150)
    assert rates(before, after) == {"cache_miss": 2.0, "cpu_cycles": 50.0}
    said = usage(1000, {"cpu_cycles": [2, 4], "cache_miss": [1, 1]}, cpu_cycles=150, interval=1)
    features, values = rates_within(said)
    assert (features, values.tolist()) == (("cache_miss", "cpu_cycles"), [2.0, 150.0])


def test_of_other_features_those_in_both_are_used() -> None:
    before = usage(0, {"goes": [1], "stays": [1]}, node_goes=1, node_stays=1, procs_running=1)
    after = usage(1000, {"comes": [9], "stays": [4]}, node_comes=9, node_stays=3, procs_running=8)
    assert rates(before, after) == {"node_stays": 2.0, "procs_running": 8.0, "stays": 3.0}
    assert rates(after, usage(2000, {"stays": [5]}, node_stays=9)) == {
        "node_stays": 6.0,
        "stays": 1.0,
    }


def test_the_same_features_in_another_order_are_the_same() -> None:
    before = usage(0, {"x": [1], "y": [10]}, b=1, a=10)
    assert rates(before, usage(1000, {"y": [12], "x": [2]}, a=20, b=3)) == {
        "a": 10.0,
        "b": 2.0,
        "x": 1.0,
        "y": 2.0,
    }


def test_a_node_and_its_workloads_are_not_compared() -> None:
    of_workloads = usage(0, {"cpu_cycles": [1], "x": [1]})
    of_node = usage(1000, {"cpu_cycles": [2], "x": [2]}, cpu_cycles=700)
    assert rates(of_workloads, of_node) == {"x": 1.0}
    assert rates(usage(0, {"x": [1]}), usage(1000, x=5)) is None


def test_a_reset_of_a_feature_that_vanishes_is_not_seen() -> None:
    assert rates(usage(0, {"x": [1], "y": [9]}), usage(1000, {"x": [2]})) == {"x": 1.0}
    assert rates(usage(0, {"x": [3], "y": [9]}), usage(1000, {"x": [2]})) is None


def test_nothing_in_common_is_nothing() -> None:
    assert rates(usage(0, {"x": [1]}), usage(1000, {"y": [2]})) is None


@given(
    seconds=st.integers(1, 100),
    start=st.dictionaries(st.sampled_from("pqrst"), st.integers(0, 10**9)),
    gained=st.dictionaries(st.sampled_from("pqrst"), st.integers(0, 10**9)),
    node=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
)
def test_rates_times_seconds_are_the_differences(
    seconds: int, start: dict[str, int], gained: dict[str, int], node: tuple[int, int]
) -> None:
    stop = {name: start.get(name, 0) + more for name, more in gained.items()}
    before = usage(0, {"x": list(start.values())}, ids=list(start), y=node[0])
    after = usage(seconds * 1000, {"x": list(stop.values())}, ids=list(stop), y=sum(node))
    found = rates(before, after)
    assert found is not None
    assert found["y"] * seconds == pytest.approx(node[1])
    both = start.keys() & stop.keys()
    assert found["x"] * seconds == pytest.approx(sum(gained[name] for name in both))


def test_a_reading_comes_back_as_it_was() -> None:
    was = reading(usage(5, {"x": [1, 2]}, y=3, machine=MACHINE))
    again = restore_reading(was.state())
    assert again.layout is was.layout
    assert (again.at, again.machine, again.ids) == (5, MACHINE, ["0", "1"])
    np.testing.assert_array_equal(again.node, was.node)
    np.testing.assert_array_equal(again.workloads, was.workloads)
    assert restore_reading({**was.state(), "machine": {}}).machine == MachineSpec()


def test_equal_names_share_a_layout() -> None:
    assert layout(("a",), ("b",)) is layout(("a",), ("b",))
    assert layout(("a",), ("b",)) is not layout(("b",), ("a",))
