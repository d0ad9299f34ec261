from __future__ import annotations

import itertools
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.joining.counter_track import MOST_WATTS, CounterTrack
from stream.joining.meter_track import MOST_READINGS
from stream.joining.power_track import restore_track, track_for
from stream.learning import plain
from stream.records import PowerRecord
from tests.stream.builders import gauge, zones


def track_of(*records: PowerRecord) -> CounterTrack:
    track = CounterTrack()
    for record in records:
        track.add(record)
    return track


def package(at: int, joules: float, wraps_at: float | None = None) -> PowerRecord:
    return zones(at, {"package": joules}, wraps_at=wraps_at)


def test_exact_at_readings_and_linear_between() -> None:
    track = track_of(package(0, 7), package(1000, 17), package(3000, 87))
    assert track.components == ("package",)
    assert track.mean_watts(0, 1000) == (10.0,)
    assert track.mean_watts(1000, 3000) == (35.0,)
    assert track.mean_watts(0, 3000) == pytest.approx((80 / 3,))
    assert track.mean_watts(250, 500) == (10.0,)
    assert track.mean_watts(500, 2000) == pytest.approx(((5 + 35) / 1.5,))


def test_nothing_is_known_outside_the_readings() -> None:
    track = track_of(package(1000, 0), package(2000, 10))
    assert track.mean_watts(999, 2000) is None
    assert track.mean_watts(1000, 2001) is None
    assert CounterTrack().mean_watts(0, 1) is None
    assert CounterTrack().newest == -1


def test_a_counter_that_stands_still_is_0_watts() -> None:
    track = track_of(package(0, 5), package(1000, 5), package(2000, 5))
    assert track.mean_watts(0, 1500) == (0.0,)
    assert track.resets == 0


@given(
    start=st.floats(0, 999),
    steps=st.lists(st.floats(0, 400), min_size=1, max_size=12),
)
def test_wraps_anywhere_lose_nothing(start: float, steps: list[float]) -> None:
    totals = list(itertools.accumulate(steps, initial=start))
    track = track_of(*(package(1000 * i, t % 1000, 1000) for i, t in enumerate(totals)))
    assert track.resets == 0
    for (i, a), (j, b) in itertools.combinations(enumerate(totals), 2):
        assert track.mean_watts(1000 * i, 1000 * j) == pytest.approx(((b - a) / (j - i),), abs=1e-6)


def test_zones_of_a_component_are_added_and_components_are_not() -> None:
    track = track_of(
        zones(0, {"package/0": 0, "package/1": 990, "dram/0": 1}, wraps_at=1000),
        zones(1000, {"dram/0": 4, "package/1": 5, "package/0": 10}, wraps_at=1000),
    )
    assert track.components == ("package", "dram")
    assert track.mean_watts(0, 1000) == (25.0, 3.0)


def test_a_reset_begins_a_new_run() -> None:
    track = track_of(package(0, 100), package(1000, 110), package(2000, 3), package(3000, 8))
    assert track.resets == 1
    assert track.mean_watts(0, 1000) == (10.0,)
    assert track.mean_watts(2000, 3000) == (5.0,)
    assert track.mean_watts(1000, 2000) is None
    assert track.mean_watts(500, 2500) is None


def test_a_wrap_that_would_take_too_many_watts_was_a_reset() -> None:
    wraps_at = 262_143.0
    assert track_of(package(0, 262_000, wraps_at), package(1000, 3, wraps_at)).resets == 0
    assert track_of(package(0, 100_000, wraps_at), package(1000, 3, wraps_at)).resets == 1


def test_an_implausible_jump_is_a_reset() -> None:
    assert track_of(package(0, 0), package(1000, MOST_WATTS)).resets == 0
    track = track_of(package(0, 0), package(1000, MOST_WATTS + 1), package(2000, MOST_WATTS + 11))
    assert track.resets == 1
    assert track.mean_watts(1000, 2000) == (10.0,)


def test_zones_in_another_order_are_the_same() -> None:
    track = track_of(
        zones(0, {"package/0": 1, "dram/0": 5, "package/1": 2}),
        zones(1000, {"dram/0": 8, "package/1": 12, "package/0": 1}),
        zones(2000, {"package/1": 12, "package/0": 21, "dram/0": 9}),
    )
    assert track.components == ("package", "dram")
    assert track.resets == 0
    assert [track.mean_watts(at, at + 1000) for at in (0, 1000)] == [(10.0, 3.0), (20.0, 1.0)]


def test_another_set_of_zones_begins_a_new_run() -> None:
    track = track_of(
        zones(0, {"package/0": 0}),
        zones(1000, {"package/0": 10}),
        zones(2000, {"package/0": 20, "package/1": 500}),
        zones(3000, {"package/0": 30, "package/1": 520}),
    )
    assert track.resets == 1
    assert track.mean_watts(0, 1000) == (10.0,)
    assert track.mean_watts(1000, 2000) is None
    assert track.mean_watts(2000, 3000) == (30.0,)


def test_other_components_begin_anew() -> None:
    track = track_of(
        zones(0, {"package": 0}),
        zones(1000, {"package": 10, "dram": 0}),
        zones(2000, {"package": 20, "dram": 3}),
    )
    assert (track.resets, track.components) == (1, ("package", "dram"))
    assert track.mean_watts(0, 1000) is None
    assert track.mean_watts(1000, 2000) == (10.0, 3.0)


def test_the_same_time_again_is_a_duplicate() -> None:
    track = track_of(package(0, 0), package(1000, 10))
    assert track.add(package(1000, 10)) == "duplicate"
    assert track.add(package(0, 999)) == "duplicate"
    assert track.mean_watts(0, 1000) == (10.0,)


def test_what_comes_late_and_does_not_fit_is_late() -> None:
    track = track_of(package(1000, 10), package(3000, 30), package(5000, 3), package(6000, 4))
    assert track.add(package(500, 5)) == "late"  # before all others
    assert track.add(package(2000, 31)) == "late"  # above its successor
    assert track.add(package(2000, 9)) == "late"  # below its predecessor
    assert track.add(package(4000, 35)) == "late"  # before a reset or after it, nobody knows
    assert track.add(package(2000, 11)) == "kept"
    assert track.mean_watts(1000, 2000) == (1.0,)
    assert track.mean_watts(2000, 3000) == (19.0,)


@given(
    steps=st.lists(st.tuples(st.integers(1, 3000), st.floats(0, 300)), min_size=2, max_size=12),
    rng=st.randoms(use_true_random=False),
)
def test_out_of_order_is_as_good_as_in_order(
    steps: list[tuple[int, float]], rng: random.Random
) -> None:
    at, joules, records = 0, 17_000.0, [package(0, 17_000, 20_000)]
    for milliseconds, watts in steps:
        at, joules = at + milliseconds, joules + watts * milliseconds / 1000
        records.append(package(at, joules % 20_000, 20_000))
    ordered = track_of(*records)
    inner = records[1:-1]
    rng.shuffle(inner)
    mixed = track_of(records[0], records[-1], *inner)
    assert mixed.state()["at"] == ordered.state()["at"]
    for start, end in itertools.pairwise(record.at for record in records):
        expected = ordered.mean_watts(start, end)
        assert expected is not None
        assert mixed.mean_watts(start, end) == pytest.approx(expected, abs=1e-5)


def test_a_reading_out_of_order_is_not_late_by_rounding() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        raw = [rng.random() * 10 ** rng.randint(0, 3)]
        for _ in range(3):
            raw.append(raw[-1] + rng.choice([0, rng.random() * 10 ** rng.randint(-6, 3)]))
        first, *inner, last = (package(1000 * i, joules) for i, joules in enumerate(raw + raw[-1:]))
        track = track_of(first, last)
        rng.shuffle(inner)
        assert [track.add(record) for record in inner] == ["kept"] * len(inner)
        watts = [track.mean_watts(1000 * i, 1000 * i + 1000) for i in range(4)]
        assert all(w is not None and w[0] >= 0 for w in watts)


def test_memory_is_bounded_and_the_oldest_go() -> None:
    track = track_of(*(package(1000 * i, 10 * i) for i in range(MOST_READINGS + 10)))
    assert (len(track.state()["at"]), track.orphaned) == (MOST_READINGS, 10)
    assert track.mean_watts(9000, 10_000) is None
    assert track.mean_watts(10_000, 11_000) == (10.0,)


def test_memory_is_bounded_when_readings_come_out_of_order() -> None:
    track = track_of(package(0, 0), package(10_000_000, 10_000))
    for i in range(1, MOST_READINGS + 10):
        assert track.add(package(1000 * i, i)) == "kept"
    assert len(track.state()["at"]) == MOST_READINGS


def test_forgetting_keeps_what_later_intervals_need() -> None:
    track = track_of(*(package(1000 * i, 10 * i) for i in range(6)))
    track.forget_before(2500)
    assert track.state()["at"] == [2000, 3000, 4000, 5000]
    assert track.mean_watts(2500, 3500) == (10.0,)
    track.forget_before(0)
    assert track.state()["at"][0] == 2000


def test_spacing_is_that_of_the_last_two() -> None:
    track = track_of(package(0, 0))
    assert track.spacing_ms == 120_000  # how often it is read is not known yet
    track.add(package(1000, 1))
    track.add(package(6000, 1))
    assert track.spacing_ms == 5000
    track.add(package(3000, 1))
    track.forget_before(6000)
    assert track.spacing_ms == 5000
    track.add(package(600_000, 1))
    assert track.spacing_ms == 120_000


@given(
    seconds=st.lists(st.integers(0, 30), max_size=20),
    later=st.lists(st.integers(0, 60), max_size=10),
    rng=st.randoms(use_true_random=False),
)
def test_a_restored_track_goes_on_as_if_nothing_had_been(
    seconds: list[int], later: list[int], rng: random.Random
) -> None:
    track = CounterTrack()
    for second in seconds:
        track.add(zones(1000 * second, {"package/0": rng.random() * 90, "dram": 3}, wraps_at=100))
    again = restore_track(plain.load(plain.dump(track.state())))
    assert isinstance(again, CounterTrack)
    for second in later:
        record = zones(1000 * second, {"package/0": rng.random() * 90}, wraps_at=100)
        assert again.add(record) == track.add(record)
    assert plain.dump(again.state()) == plain.dump(track.state())


def test_a_track_for_each_kind_of_record() -> None:
    assert track_for(package(0, 0)).kind == "counter"
    assert track_for(gauge(0, platform=1)).kind == "gauge"
    with pytest.raises(msgspec.DecodeError):
        plain.load(b"")
