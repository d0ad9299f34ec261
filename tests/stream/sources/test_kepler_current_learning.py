"""From pages of Kepler 0.10 and later to samples: what was drawn and used, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.learning.learner import Learner
from stream.learning.pools import pool
from stream.sample import Sample
from stream.sources.kepler_exposition import read_exposition
from stream.sources.kepler_mapping import SERIES, KeplerMapper
from stream.sources.protocol import Record
from tests.stream.builders import START_MS, joined

WATTS = "kepler_node_cpu_watts"
PAGES = Path(__file__).parent / "pages"
PATH = "/sys/class/powercap/intel-rapl:0"


class Scrape(NamedTuple):
    """One page: when, what was drawn since the start, and each process's processor seconds."""

    seconds: float
    joules: float
    processes: dict[int, float]
    ratio: float = 0.25

    def page(self) -> str:
        zone = f'{{node_name="n1",path="{PATH}",zone="package"}}'
        lines = [
            # The raw counter wraps at 1 kJ; the sum of the other two never does.
            f"kepler_node_cpu_joules_total{zone} {self.joules % 1000.0}",
            f"kepler_node_cpu_active_joules_total{zone} {0.25 * self.joules}",
            f"kepler_node_cpu_idle_joules_total{zone} {0.75 * self.joules}",
            f'kepler_node_cpu_usage_ratio{{node_name="n1"}} {self.ratio}',
        ]
        lines += [
            f'kepler_process_cpu_seconds_total{{node_name="n1",pid="{pid}"}} {seconds}'
            for pid, seconds in self.processes.items()
        ]
        return "\n".join(lines) + "\n"


def records(scrapes: list[Scrape]) -> list[Record]:
    mapper = KeplerMapper("n1")
    found: list[Record] = []
    for scrape in scrapes:
        families = read_exposition(scrape.page(), "text/plain", SERIES).families
        found += mapper.records(families, START_MS + round(scrape.seconds * 1000))
    return found


def samples(scrapes: list[Scrape]) -> list[Sample]:
    return joined(records(scrapes))


STEPS = st.lists(
    st.tuples(st.integers(1, 40), st.floats(1, 500), st.lists(st.floats(0, 4), max_size=4)),
    min_size=2,
    max_size=10,
)


@given(STEPS)
def test_irregular_intervals_give_what_was_drawn_and_used_in_them(
    steps: list[tuple[int, float, list[float]]],
) -> None:
    seconds, joules = 0.0, 5.0
    processes = dict.fromkeys(range(4), 10.0)
    scrapes, true = [Scrape(0.0, joules, dict(processes))], []
    for tenths, watts, busy in steps:
        elapsed = tenths / 4
        seconds, joules = seconds + elapsed, joules + watts * elapsed
        for pid, processors in enumerate(busy):
            processes[pid] += processors * elapsed
        scrapes.append(Scrape(seconds, joules, dict(processes)))
        true.append((watts, 1000.0 * sum(busy)))
    found = samples(scrapes)
    assert [sample.watts[0] for sample in found] == pytest.approx([w for w, _ in true], rel=1e-6)
    rates = [dict(zip(one.features, one.rates, strict=True)) for one in found]
    assert [one["bpf_cpu_time_ms"] for one in rates] == pytest.approx(
        [ms for _, ms in true], rel=1e-6, abs=1e-6
    )
    assert {one["cpu_usage_ratio"] for one in rates} == {0.25}


def test_a_process_that_ends_takes_nothing_with_it_and_a_new_one_brings_nothing() -> None:
    found = samples(
        [
            Scrape(0, 0, {1: 500.0, 2: 9.0}),
            Scrape(5, 100, {1: 505.0, 2: 9.0}),
            Scrape(10, 200, {2: 14.0, 3: 800.0}),
            Scrape(15, 300, {2: 14.0, 3: 805.0}),
        ]
    )
    of_time = [dict(zip(one.features, one.rates, strict=True)) for one in found]
    assert [one["bpf_cpu_time_ms"] for one in of_time] == [1000.0, 1000.0, 1000.0]
    assert [one.watts for one in found] == [(20.0,)] * 3


def test_counters_that_begin_anew_cost_the_interval() -> None:
    found = samples(
        [
            Scrape(0, 1000, {1: 500.0}),
            Scrape(5, 1100, {1: 505.0}),
            Scrape(10, 20, {1: 2.0}),
            Scrape(15, 120, {1: 7.0}),
        ]
    )
    assert [one.watts for one in found] == [(20.0,), (20.0,)]
    assert [one.end for one in found] == [START_MS + 5000, START_MS + 15000]


def test_power_between_two_recorded_pages_is_what_kepler_says() -> None:
    """Two pages of a Kepler that has looked 0.912846 s after it had looked before."""
    first, second = (
        read_exposition((PAGES / f"kepler_recorded_{n}.txt").read_text(), "", {*SERIES, WATTS})
        for n in (1, 2)
    )
    mapper = KeplerMapper("worker-1")
    at = (START_MS, START_MS + 913)
    found = joined(
        [*mapper.records(first.families, at[0]), *mapper.records(second.families, at[1])]
    )
    (sample,) = [one for one in found if one.source == "rapl-sysfs"]
    said = {one.labels["zone"]: one.value for one in second.families[WATTS]}
    assert dict(zip(sample.components, sample.watts, strict=True)) == pytest.approx(said, rel=1e-3)
    assert said["package"] > said["core"] > said["dram"] > 10.0


def test_pages_that_are_scraped_more_often_than_they_are_renewed() -> None:
    pages = [Scrape(0, 150.0 * n, {1: 6.0 * n, 2: 1.5 * n}) for n in range(9)]
    found = samples([pages[n // 3]._replace(seconds=n) for n in range(27)])
    assert [one.end - START_MS for one in found] == [3000 * n for n in range(1, 9)]
    assert [one.watts for one in found] == [(50.0,)] * 8
    rates = [dict(zip(one.features, one.rates, strict=True)) for one in found]
    assert {one["bpf_cpu_time_ms"] for one in rates} == {2500.0}


def legacy_page(seconds: float, joules: float) -> str:
    """What a Kepler 0.9 would show that has counted for longer: the same power, the same usage."""
    labels = 'package="0",source="rapl-sysfs"'
    return (
        f'kepler_node_package_joules_total{{mode="dynamic",{labels}}} {9000 + 0.25 * joules}\n'
        f'kepler_node_package_joules_total{{mode="idle",{labels}}} {9000 + 0.75 * joules}\n'
        f'kepler_container_bpf_cpu_time_ms_total{{container_id="c"}} {7e6 + 1000 * seconds}\n'
    )


def test_a_release_that_changes_under_way_costs_intervals_and_makes_nothing_up() -> None:
    mapper, found = KeplerMapper("n1"), list[Record]()
    for n in range(24):
        seconds, joules = 5.0 * n, 100.0 * n
        is_legacy = n // 6 % 2 == 1
        page = (
            legacy_page(seconds, joules)
            if is_legacy
            else Scrape(seconds, joules, {1: seconds}).page()
        )
        families = read_exposition(page, "text/plain", SERIES).families
        found += mapper.records(families, START_MS + round(seconds * 1000))
    learned = joined(found)
    assert len(learned) == 23 - 3  # all intervals but those in which it changed
    for sample in learned:
        rates = dict(zip(sample.features, sample.rates, strict=True))
        assert sample.watts == pytest.approx((20.0,))
        assert rates["bpf_cpu_time_ms"] == pytest.approx(1000.0)


def test_the_groups_of_current_kepler_are_learned() -> None:
    scrapes = [
        Scrape(5.0 * n, 500.0 * n, {1: 5.0 * n, 2: 1.0 * n}, 0.3 + 0.01 * (n % 3))
        for n in range(12)
    ]
    learner = Learner(pool(("ridge",)))
    for sample in samples(scrapes):
        learner.learn_one(sample)
    learner.flush()
    learner.catch_up()
    assert {key.feature_group for key in learner.models} == {"CPUTime", "CPUUsage"}
    assert {model.samples for model in learner.models.values()} == {11}
