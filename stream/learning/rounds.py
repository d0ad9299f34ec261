"""Rounds: the samples that a model learns together."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec.structs import asdict

from estimator.arrays import State
from estimator.machine import MachineSpec
from stream.sample import Sample

LONGEST_MS: Final = 3000
"""A round spans less event time than that: 5 % of the shortest horizon that is served."""


class Round:
    """Samples of different nodes of one type and energy source, close in event time.

    It is over when a sample does not belong to it any more: because its node is in it already, or
    because its time is too far off. So one node's samples are learned one by one, each predicted
    before it is learned, and those of a thousand nodes a thousand at a time; and which are learned
    together depends on the samples alone, not on how they were polled.
    """

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._nodes: set[str] = set()

    def fits(self, sample: Sample) -> bool:
        """Whether the sample may still join."""
        if not self.samples:
            return True
        apart = abs(sample.end - self.samples[0].end)
        return apart < LONGEST_MS and sample.node not in self._nodes

    def add(self, sample: Sample) -> None:
        """Take the sample in."""
        self.samples.append(sample)
        self._nodes.add(sample.node)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"samples": [_sample_state(sample) for sample in self.samples]}

    @classmethod
    def restore(cls, state: State) -> Round:
        """Make the round that ``state`` was taken of."""
        restored = cls()
        for saved in state["samples"]:
            restored.add(_restored_sample(saved))
        return restored


def _sample_state(sample: Sample) -> State:
    return {**sample._asdict(), "machine": asdict(sample.machine)}


def _restored_sample(state: State) -> Sample:
    return Sample(
        **{
            **state,
            "machine": MachineSpec(**state["machine"]),
            "features": tuple(state["features"]),
            "rates": np.asarray(state["rates"]),
            "components": tuple(state["components"]),
            "watts": tuple(state["watts"]),
            "background": None if state["background"] is None else np.asarray(state["background"]),
        }
    )
