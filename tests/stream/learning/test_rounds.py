from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.learning import plain
from stream.learning.rounds import LONGEST_MS, Round
from stream.sample import Sample
from tests.stream.builders import MACHINE, START_MS


def sample(node: str = "a", end: int = START_MS, watts: float = 50.0) -> Sample:
    features = ("cpu_cycles",)
    return Sample(
        node,
        MACHINE,
        "acpi",
        end - 3000,
        end,
        features,
        np.array([watts / 3]),
        ("platform",),
        (watts,),
    )


def test_a_node_is_in_a_round_once() -> None:
    current = Round()
    assert current.fits(sample())
    current.add(sample())
    assert not current.fits(sample(end=START_MS + 1))
    assert current.fits(sample("b"))


def test_a_round_is_short_in_event_time() -> None:
    current = Round()
    current.add(sample())
    for apart in (-1, 1):
        assert current.fits(sample("b", START_MS + apart * (LONGEST_MS - 1)))
        assert not current.fits(sample("b", START_MS + apart * LONGEST_MS))


@given(st.lists(st.sampled_from("abcdef"), unique=True))
def test_a_restored_round_is_the_same(nodes: list[str]) -> None:
    current = Round()
    for number, node in enumerate(nodes):
        current.add(sample(node, watts=number / 7))
    again = Round.restore(plain.load(plain.dump(current.state())))
    assert plain.dump(again.state()) == plain.dump(current.state())
    for node in "abcdefg":
        assert again.fits(sample(node)) == current.fits(sample(node))
    for one, two in zip(again.samples, current.samples, strict=True):
        assert one.machine == two.machine
        assert (one.features, one.components, one.watts) == (
            two.features,
            two.components,
            two.watts,
        )
        assert one.rates.tobytes() == two.rates.tobytes()
