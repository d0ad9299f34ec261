from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.joining.gauge_track import LONGEST_GAP_MS, GaugeTrack
from stream.joining.meter_track import MOST_READINGS
from stream.joining.power_track import restore_track
from stream.learning import plain
from stream.records import PowerRecord
from tests.stream.builders import gauge


def track_of(*records: PowerRecord) -> GaugeTrack:
    track = GaugeTrack()
    for record in records:
        track.add(record)
    return track


def test_watts_are_linear_between_readings() -> None:
    track = track_of(gauge(0, platform=100), gauge(1000, platform=200), gauge(3000, platform=100))
    assert track.mean_watts(0, 1000) == (150.0,)
    assert track.mean_watts(0, 500) == (125.0,)
    assert track.mean_watts(0, 3000) == (150.0,)
    assert track.mean_watts(500, 2000) == pytest.approx(((175 * 500 + 175 * 1000) / 1500,))
    assert track.mean_watts(1250, 1750) == pytest.approx((175.0,))


def test_nothing_is_known_outside_the_readings() -> None:
    track = track_of(gauge(1000, platform=1), gauge(2000, platform=1))
    assert track.mean_watts(900, 2000) is None
    assert track.mean_watts(1000, 2100) is None


def test_a_long_silence_says_nothing() -> None:
    gap = LONGEST_GAP_MS
    track = track_of(gauge(0, platform=5), gauge(gap, platform=5), gauge(2 * gap + 1, platform=5))
    assert track.mean_watts(100, gap) == (5.0,)
    assert track.mean_watts(100, gap + 1) is None
    assert track.mean_watts(gap + 100, gap + 200) is None


def test_several_components_keep_the_vocabularys_order() -> None:
    track = track_of(
        gauge(0, psys=1, package=2, strange=3), gauge(1000, strange=5, psys=1, package=4)
    )
    assert track.components == ("package", "psys", "strange")
    assert track.mean_watts(0, 1000) == (3.0, 1.0, 4.0)


def test_other_components_begin_anew() -> None:
    track = track_of(
        gauge(0, platform=1), gauge(1000, platform=1, psys=2), gauge(2000, platform=1, psys=2)
    )
    assert track.resets == 1
    assert track.mean_watts(0, 1000) is None
    assert track.components == ("psys", "platform")
    assert track.mean_watts(1000, 2000) == (2.0, 1.0)


def test_the_same_time_again_is_a_duplicate() -> None:
    track = track_of(gauge(0, platform=1), gauge(1000, platform=3))
    assert track.add(gauge(1000, platform=900)) == "duplicate"
    assert track.mean_watts(0, 1000) == (2.0,)


readings = st.lists(
    st.tuples(st.integers(0, 100_000), st.floats(0, 500)),
    min_size=2,
    max_size=20,
    unique_by=lambda reading: reading[0],
)


@given(readings, st.randoms(use_true_random=False))
def test_out_of_order_is_the_same_as_in_order(
    said: list[tuple[int, float]], rng: random.Random
) -> None:
    said.sort()
    ordered = track_of(*(gauge(at, platform=watts) for at, watts in said))
    rng.shuffle(said)
    mixed = track_of(*(gauge(at, platform=watts) for at, watts in said))
    times = sorted(at for at, _ in said)
    assert mixed.state()["at"] == times
    for start, end in itertools.pairwise(times):
        assert mixed.mean_watts(start, end) == ordered.mean_watts(start, end)


@given(readings, st.integers(0, 100_000), st.integers(0, 100_000))
def test_energy_adds_up(said: list[tuple[int, float]], one: int, two: int) -> None:
    """The energy of an interval is that of its parts, and within what the gauge showed."""
    track = track_of(*(gauge(at, platform=watts) for at, watts in said))
    first, last = min(at for at, _ in said), max(at for at, _ in said)
    start, middle, end = first, min(max(first, min(one, two)), last), last
    whole = track.mean_watts(start, end)
    assert whole is not None
    energy = 0.0
    for a, b in ((start, middle), (middle, end)):
        if a < b:
            part = track.mean_watts(a, b)
            assert part is not None
            energy += part[0] * (b - a)
    assert energy == pytest.approx(whole[0] * (end - start), rel=1e-6, abs=1e-3)
    assert min(w for _, w in said) - 1e-6 <= whole[0] <= max(w for _, w in said) + 1e-6


def test_memory_is_bounded() -> None:
    track = track_of(*(gauge(1000 * i, platform=i) for i in range(MOST_READINGS + 5)))
    assert (len(track.state()["at"]), track.orphaned) == (MOST_READINGS, 5)


@given(readings, readings)
def test_a_restored_track_goes_on_as_if_nothing_had_been(
    said: list[tuple[int, float]], later: list[tuple[int, float]]
) -> None:
    track = track_of(*(gauge(at, platform=watts) for at, watts in said))
    again = restore_track(plain.load(plain.dump(track.state())))
    assert isinstance(again, GaugeTrack)
    for at, watts in later:
        assert again.add(gauge(at, platform=watts)) == track.add(gauge(at, platform=watts))
    assert plain.dump(again.state()) == plain.dump(track.state())
