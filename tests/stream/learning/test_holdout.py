from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from estimator.learning.strangers import FIRST_CONTACT, TRANSFER, Stranger
from stream.learning import plain
from stream.learning.holdout import (
    FEWEST_NODES,
    FIRST_CONTACT_MS,
    FORGOTTEN_MS,
    MOST_NODES,
    REPORTING_MS,
    Nodes,
    is_chosen,
)
from stream.sample import Sample
from tests.stream.builders import MACHINE, START_MS

NAMES = [f"worker-{number}" for number in range(100)]
CHOSEN = next(name for name in NAMES if is_chosen(name))
OTHERS = [name for name in NAMES if not is_chosen(name)]


def sample(node: str, after_ms: int = 0) -> Sample:
    end = START_MS + after_ms
    return Sample(
        node, MACHINE, "acpi", end - 3000, end, ("x",), np.array([1.0]), ("platform",), (50.0,)
    )


def roles(nodes: Nodes, names: list[str], after_ms: int = 0) -> list[Stranger | None]:
    return nodes.roles([sample(name, after_ms) for name in names])


def test_about_one_in_ten_is_chosen() -> None:
    assert 5 <= len(NAMES) - len(OTHERS) <= 20
    assert sum(is_chosen(f"10.0.{i}.{j}") for i in range(40) for j in range(25)) in range(70, 130)


def test_of_five_nodes_the_chosen_one_never_teaches() -> None:
    nodes = Nodes()
    names = [CHOSEN, *OTHERS[: FEWEST_NODES - 1]]
    for step in range(400):
        assert roles(nodes, names, 3000 * step) == [TRANSFER, None, None, None, None]


def test_of_fewer_nodes_all_teach_and_go_on_teaching() -> None:
    nodes = Nodes()
    assert roles(nodes, [CHOSEN, *OTHERS[:3]]) == [None] * 4
    # Who has taught once is no stranger any more, however many come.
    assert roles(nodes, [CHOSEN, *OTHERS[:9]], 3000) == [None] * 10


def test_the_chosen_one_of_nodes_that_do_not_report_any_more_teaches() -> None:
    nodes = Nodes()
    names = [CHOSEN, *OTHERS[: FEWEST_NODES - 1]]
    assert roles(nodes, names)[0] == TRANSFER
    assert roles(nodes, [CHOSEN], REPORTING_MS - 1) == [TRANSFER]
    assert roles(nodes, [CHOSEN], REPORTING_MS) == [None]


def test_a_new_node_is_scored_for_five_minutes_before_it_teaches() -> None:
    nodes = Nodes()
    old, new = OTHERS[:2]
    for after in (0, 200_000):
        roles(nodes, [old], after)
    begin = FIRST_CONTACT_MS + 3000
    for passed in (0, 3000, FIRST_CONTACT_MS - 1):
        assert roles(nodes, [old, new], begin + passed) == [None, FIRST_CONTACT]
    assert roles(nodes, [old, new], begin + FIRST_CONTACT_MS) == [None, None]
    assert roles(nodes, [new], begin + FIRST_CONTACT_MS + 1) == [None]


def test_founders_of_a_type_teach_at_once() -> None:
    nodes = Nodes()
    for number, name in enumerate(OTHERS[:50]):
        assert roles(nodes, [name], number * FIRST_CONTACT_MS // 50) == [None]


def test_who_was_not_heard_of_for_hours_is_a_stranger_again() -> None:
    nodes = Nodes()
    one, other = OTHERS[:2]
    roles(nodes, [one, other])
    assert roles(nodes, [one], FORGOTTEN_MS - 1) == [None]
    assert roles(nodes, [other], FORGOTTEN_MS) == [None]
    nodes = Nodes()
    roles(nodes, [one, other])
    for minute in range(121):
        roles(nodes, [one], 60_000 * minute)
    assert roles(nodes, [other], FORGOTTEN_MS) == [FIRST_CONTACT]


def test_after_a_silence_of_all_those_that_come_back_teach_at_once() -> None:
    nodes = Nodes()
    roles(nodes, OTHERS[:3])
    for number, name in enumerate(OTHERS[:6]):
        assert roles(nodes, [name], 2 * FORGOTTEN_MS + 3000 * number) == [None]


def test_only_so_many_nodes_are_remembered() -> None:
    nodes = Nodes()
    for number in range(MOST_NODES + 50):
        roles(nodes, [f"n{number}"])
    assert len(nodes.state()["known"]) == MOST_NODES
    everybody = [f"m{number}" for number in range(MOST_NODES + 50)]
    assert len(roles(nodes, everybody)) == MOST_NODES + 50


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES[:12]), st.sampled_from([0, 3000, 200_000, 8_000_000])),
        max_size=60,
    ),
    st.integers(0, 60),
)
def test_restored_they_have_the_same_roles(steps: list[tuple[str, int]], split: int) -> None:
    at, samples = 0, []
    for name, passed in steps:
        at += passed
        samples.append(sample(name, at))
    one = Nodes()
    for each in samples[:split]:
        one.roles([each])
    other = Nodes.restore(plain.load(plain.dump(one.state())))
    for each in samples[split:]:
        assert one.roles([each]) == other.roles([each])
    assert plain.dump(one.state()) == plain.dump(other.state())
