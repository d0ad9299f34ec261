"""What a model asks of its experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from estimator.arrays import Floats, State
from estimator.artifacts.chunks import Chunks
from estimator.artifacts.frozen import FrozenExperts
from estimator.artifacts.kepler_curves import Curve
from estimator.regressors.batch import Batch
from estimator.regressors.prior import Prior


class Bank(Protocol):
    """Experts that learn together from the same samples: F features in, C components out."""

    @property
    def names(self) -> tuple[str, ...]:
        """The experts' names, in the order in which arrays hold them."""
        ...

    def learn_rounds(self, batch: Batch) -> Sequence[FrozenExperts]:
        """Learn the rounds one after the other; what the experts would say after each, for ever.

        The same, bit for bit, however rounds are batched.
        """
        ...

    def freeze(self) -> FrozenExperts:
        """What the experts would say now, for ever."""
        ...

    def absorb(self, other: Bank, share: float) -> None:
        """Take in what another bank of the same make has learned, for `freeze` to say.

        ``share`` is what part of all samples, these and the ones before, the other has learned
        from; experts that can add what they know, need it not.
        """
        ...

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        ...


@runtime_checkable
class ChunkedBank(Protocol):
    """A bank that leaves its rows to chunks, which frozen experts share with it."""

    def chunked_state(self, chunks: Chunks) -> State:
        """Everything that `restore_chunked` needs, the rows left to ``chunks``."""
        ...

    def restore_chunked(self, state: State, chunks: Chunks) -> None:
        """Go on from a state that `chunked_state` gave."""
        ...


@runtime_checkable
class Forgetter(Protocol):
    """A bank with long memories that can be cut short.

    Whether they must be is known only once a batch has been learned: then it is learned anew from
    the round on, from where the bank was before.
    """

    def forget(self) -> None:
        """Have the past weigh little in the long memories."""
        ...

    def mark(self) -> Any:
        """Where the bank is now, for `rewind`."""
        ...

    def rewind(self, mark: Any) -> None:
        """Go back to where `mark` was called, having learned batches since."""
        ...


@runtime_checkable
class LineMaker(Protocol):
    """A bank that can say what it knows as a line without negative coefficients."""

    def lines(self, ceiling_bias: Floats) -> tuple[Floats, Floats, Floats]:
        """Bias [C] up to ``ceiling_bias`` [C], weights [F, C], scales [F]."""
        ...

    def lines_above(self, level: Floats) -> tuple[Floats, Floats]:
        """Lines through 0 of what is above ``level`` [C]: weights [F, C], scales [F]."""
        ...


@runtime_checkable
class CurveMaker(Protocol):
    """A bank that can say what it knows as the curves that Kepler can evaluate."""

    def curves(self, greatest_at_rest: Floats) -> dict[str, list[Curve]]:
        """By trainer a curve of each component, at rest at most ``greatest_at_rest`` [C] watts."""
        ...


@runtime_checkable
class Starter(Protocol):
    """A bank that can start from what is known of another machine."""

    def start_from(self, prior: Prior) -> None:
        """Start from the prior, having learned nothing."""
        ...
