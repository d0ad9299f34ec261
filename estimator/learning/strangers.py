"""Errors on machines that a model does not learn from: what it is worth where there is no meter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from estimator.arrays import Floats, State
from estimator.learning.scoring import Scores, as_json

Stranger = Literal["transfer", "first_contact"]
TRANSFER: Final[Stranger] = "transfer"
"""Of nodes that are never learned from."""
FIRST_CONTACT: Final[Stranger] = "first_contact"
"""Of nodes in their first minutes, before anything is learned from them."""

HALF_LIVES_SECONDS: Final[Mapping[Stranger, float]] = {TRANSFER: 600.0, FIRST_CONTACT: 86_400.0}
"""Of the errors' influence: new nodes are rare, and their errors are worth keeping."""


class StrangerScores:
    """Scores of C components on both kinds of strangers, kept apart from those of the taught."""

    def __init__(self, components: int) -> None:
        self._scores = {
            kind: Scores(1, components, half_life) for kind, half_life in HALF_LIVES_SECONDS.items()
        }

    def update(
        self, kind: Stranger, estimated: Floats, measured: Floats, at_seconds: float
    ) -> None:
        """Take in estimates [K, C] of watts [K, C] of strangers of that kind."""
        self._scores[kind].update([0], estimated[None], measured, at_seconds)

    def errors(self, component: int) -> dict[str, dict[str, float | None]]:
        """The error measures of the component by kind; kinds without samples are left out."""
        found = {kind: scores.errors(0, component) for kind, scores in self._scores.items()}
        return {kind: dict(as_json(errors)) for kind, errors in found.items() if errors.count > 0}

    def absorb(self, other: StrangerScores) -> None:
        """Add another's."""
        for kind, scores in self._scores.items():
            scores.absorb(other._scores[kind])

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {kind: scores.state() for kind, scores in self._scores.items()}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        for kind, scores in self._scores.items():
            scores.restore(state[kind])
