from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.choosing.similarity import NO_MATCH, NodeTypeSearch
from estimator.machine import MachineSpec

INDEX = (
    Path(__file__).parents[3].parent / "shared/data/kepler-model-db/ec2-0.7.11/node_type_index.json"
)
CASCADE_LAKE = "intel_xeon_platinum_8259cl"


@pytest.fixture(scope="module")
def ec2() -> NodeTypeSearch:
    if not INDEX.exists():
        pytest.skip("needs ../shared/data/kepler-model-db")
    types = json.loads(INDEX.read_text())
    return NodeTypeSearch(
        [MachineSpec(**one["attrs"]) for one in types.values()],
        [len(one["members"]) for one in types.values()],
    )


@pytest.mark.parametrize(
    ("machine", "match"),
    [
        (MachineSpec("", CASCADE_LAKE, 96, 2, 377, 3500), (0, 0, 0)),
        (MachineSpec("any", CASCADE_LAKE, 96, 2, 377, 3500, 2), (0, 0, 0)),
        (MachineSpec(processor=CASCADE_LAKE), (0, 0.5, 0)),
        (MachineSpec("", CASCADE_LAKE, 8, 1, 32, 2500), (0, 0.5, 0.2917)),
        (MachineSpec("", "amd_epyc_7763", 64, 1, 256, 2450), (5, 0, 0.6321)),
        (MachineSpec(cores=96), (0, 0.75, 0)),
        (MachineSpec(), (0, 0.8333, 0)),
    ],
)
def test_what_kepler_finds_among_the_ec2_types(
    ec2: NodeTypeSearch, machine: MachineSpec, match: tuple[int, float, float]
) -> None:
    assert ec2.search(machine, loose=True) == pytest.approx(match, abs=5e-5)


def test_what_kepler_thinks_of_the_ec2_processors(ec2: NodeTypeSearch) -> None:
    expected = [0.625, 0.1719, 0.2778, 0.625, 0.2941, 0.2431]
    similarities = ec2.similarities(MachineSpec(processor=CASCADE_LAKE))
    np.testing.assert_allclose(similarities, expected, atol=5e-5)


SMALL = MachineSpec("", "abc", 8, 1, 32, 2000)
LARGE = MachineSpec("", "abd", 64, 2, 256, 3000)
TWIN = MachineSpec("", "abc", 16, 1, 32, 2000)
TYPES = NodeTypeSearch([SMALL, LARGE, TWIN], [1, 1, 3])


def test_a_type_that_equals_the_machine_is_certain() -> None:
    assert TYPES.search(LARGE) == (1, 0, 0)
    assert TYPES.search(TWIN) == (2, 0, 0)


def test_of_types_that_cover_the_machine_the_one_with_more_members_is_found() -> None:
    assert TYPES.search(MachineSpec(processor="abc")) == pytest.approx((2, 1 / 4, 0))
    assert TYPES.search(MachineSpec(processor="abc", cores=8)) == (0, 0, 0)
    assert TYPES.search(MachineSpec()) == pytest.approx((2, 2 / 5, 0))


def test_without_a_type_that_covers_it_only_a_loose_search_finds_one() -> None:
    unlike = MachineSpec("", "abc", 7, 1, 32, 2000)
    assert TYPES.search(unlike) == NO_MATCH
    # |8 - 7| is 2/15 of their mean; cores weigh an eighth.
    assert TYPES.search(unlike, loose=True) == pytest.approx((0, 3 / 4, 2 / 15 / 8))


def test_similarity_by_hand() -> None:
    # Of a, b, c, d, x two are shared of four each time: half of a half, times 5/8.
    machine = MachineSpec("", "ABX", 8, 4, 32, 5000)
    np.testing.assert_allclose(
        TYPES.similarities(machine),
        [
            5 / 8 / 4 + 1 / 8 + 0 + 1 / 16 + (1 - 3000 / 3500) / 16,
            5 / 8 / 4 + 0 + (1 - 2 / 3) / 8 + 0 + (1 - 2000 / 4000) / 16,
            5 / 8 / 4 + (1 - 8 / 12) / 8 + 0 + 1 / 16 + (1 - 3000 / 3500) / 16,
        ],
    )
    assert TYPES.similarities(MachineSpec(processor="ABC"))[0] == pytest.approx(5 / 8)


def test_ties_are_broken_by_more_members_then_by_order() -> None:
    similar = MachineSpec("", "zzz", 12, 1, 32, 2000)
    assert NodeTypeSearch([SMALL, TWIN], [1, 1]).search(MachineSpec(chips=1)).place == 0
    assert NodeTypeSearch([SMALL, SMALL], [1, 2]).search(similar, loose=True).place == 1
    assert NodeTypeSearch([SMALL, SMALL], [2, 2]).search(similar, loose=True).place == 0


def test_only_the_types_that_come_into_question_are_found() -> None:
    among = np.array([True, True, False])
    assert TYPES.search(MachineSpec(processor="abc"), among=among) == (0, 0, 0)
    assert TYPES.search(TWIN, loose=True, among=among).place == 0
    assert TYPES.search(TWIN, among=among) == NO_MATCH
    assert TYPES.search(TWIN, loose=True, among=np.zeros(3, bool)) == NO_MATCH


def test_among_no_types_nothing_is_found() -> None:
    assert NodeTypeSearch([], []).search(SMALL, loose=True) == (-1, -1, -1)


names = st.text(st.sampled_from("aAbc_1é"), max_size=4)
machines = st.builds(
    MachineSpec,
    processor=names,
    cores=st.integers(0, 5),
    chips=st.integers(0, 2),
    memory=st.integers(0, 4),
    frequency=st.integers(0, 3),
)


@given(types=st.lists(machines, min_size=1, max_size=5), machine=machines)
def test_a_loose_search_always_finds_one_and_figures_are_shares(
    types: list[MachineSpec], machine: MachineSpec
) -> None:
    match = NodeTypeSearch(types, [1] * len(types)).search(machine, loose=True)
    assert 0 <= match.place < len(types)
    assert 0 <= match.uncertainty < 1
    assert -1e-9 <= match.looseness <= 1
    if any(types[match.place] == machine == one for one in types):
        assert match.looseness == 0


@given(types=st.lists(machines, min_size=1, max_size=5), machine=machines)
def test_what_a_strict_search_finds_covers_the_machine(
    types: list[MachineSpec], machine: MachineSpec
) -> None:
    def covers(one: MachineSpec) -> bool:
        attributes = ("processor", "cores", "chips", "memory", "frequency")
        return all(getattr(machine, a) in ("", 0, getattr(one, a)) for a in attributes)

    match = NodeTypeSearch(types, [1] * len(types)).search(machine)
    if match == NO_MATCH:
        assert not any(map(covers, types))
    else:
        assert covers(types[match.place])
        assert match.looseness == 0
