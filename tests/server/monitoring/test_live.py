from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.live import Live, Point, Series


def _add(live: Live, at: float, node: str = "n", component: str = "package") -> None:
    live.add(node, "rapl-sysfs", component, at, 50.0, 51.0)


def test_readings_come_back_in_the_order_of_their_coming() -> None:
    live = Live()
    live.add("a", "rapl-sysfs", "package", 10.0, 50.0, 51.0)
    live.add("b", "acpi", "platform", 9.0, None, 80.0)
    live.add("a", "rapl-sysfs", "package", 11.0, 52.0, None)
    readings = live.since(0)
    assert [one.number for one in readings] == [1, 2, 3]
    assert readings[1].series == Series("b", "acpi", "platform")
    assert readings[2].point == Point(11.0, 52.0, None)
    assert [one.number for one in live.since(2)] == [3]
    assert live.since(3) == []


def test_what_is_older_than_ten_minutes_is_forgotten() -> None:
    live = Live()
    for at in (0.0, 300.0, 601.0):
        _add(live, at)
    assert [one.point.at for one in live.since(0)] == [300.0, 601.0]


def test_more_series_than_fit_are_counted_and_left_out() -> None:
    live = Live(series=2)
    for node in ("a", "b", "c"):
        _add(live, 10.0, node)
    assert {one.series.node for one in live.since(0)} == {"a", "b"}
    assert live.left_out == 1


def test_a_silent_series_makes_room() -> None:
    live = Live(series=2)
    _add(live, 0.0, "gone")
    _add(live, 700.0, "here")
    _add(live, 700.0, "new")
    assert {one.series.node for one in live.since(0)} == {"here", "new"}
    assert live.left_out == 0


@given(
    st.lists(
        st.tuples(
            st.floats(-1e12, 1e12), st.sampled_from("abcdef"), st.sampled_from(["package", "dram"])
        ),
        max_size=200,
    )
)
def test_it_stays_bounded_and_loses_nothing_new_whatever_comes(
    readings: list[tuple[float, str, str]],
) -> None:
    live = Live(kept_seconds=60.0, series=3)
    told: set[int] = set()
    number = 0
    for at, node, component in readings:
        _add(live, at, node, component)
        new = live.since(number)
        assert all(one.number > number for one in new)
        told.update(one.number for one in new)
        number = max([number, *told])
    kept = live.since(0)
    assert len({one.series for one in kept}) <= 3
    # Whoever asks after each reading is told of every one that was not left out.
    assert len(told) == len(readings) - live.left_out


def test_a_ring_is_bounded_however_fast_readings_come() -> None:
    live = Live()
    for _ in range(3000):
        _add(live, 1.0)
    assert len(live.since(0)) == 1200
    assert live.since(0)[-1].number == 3000
