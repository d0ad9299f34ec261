"""All banks of a model, asked and taught as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from estimator.arrays import Floats, State
from estimator.artifacts.chunks import Chunks
from estimator.artifacts.frozen import FrozenExperts
from estimator.artifacts.kepler_curves import Curve
from estimator.regressors.bank import Bank, ChunkedBank, CurveMaker, Forgetter, LineMaker, Starter
from estimator.regressors.batch import Batch
from estimator.regressors.prior import Prior

BankMaker = Callable[[Sequence[str], Sequence[str]], Bank]
"""Makes a bank for such features and components."""

Taught = Mapping[str, Sequence[FrozenExperts]]
"""By bank, what its experts would say after each round of a batch."""


class Banks:
    """The banks of one model, by name: what only some can do is asked of those that can."""

    def __init__(
        self, makers: Mapping[str, BankMaker], features: Sequence[str], components: Sequence[str]
    ) -> None:
        self.makers = makers
        self._banks = {name: make(features, components) for name, make in makers.items()}
        self._forgetters = {
            name: bank for name, bank in self._banks.items() if isinstance(bank, Forgetter)
        }

    @property
    def experts(self) -> tuple[str, ...]:
        """The experts' names, in the order in which arrays hold them."""
        return tuple(name for bank in self._banks.values() for name in bank.names)

    def start_from(self, prior: Prior) -> None:
        """Start from what another machine draws, having learned nothing."""
        for bank in self._banks.values():
            if isinstance(bank, Starter):
                bank.start_from(prior)

    def learn_rounds(self, batch: Batch, done: Taught | None = None) -> Taught:
        """Learn the rounds; banks in ``done`` have learned them already."""
        return {
            name: done[name] if done and name in done else bank.learn_rounds(batch)
            for name, bank in self._banks.items()
        }

    def heard(self, taught: Taught) -> Iterator[tuple[FrozenExperts, ...]]:
        """Round by round what the banks would say, without those that have no experts."""
        with_experts = (taught[name] for name, bank in self._banks.items() if bank.names)
        return zip(*with_experts, strict=True)

    def lasting(self, taught: Taught) -> Taught:
        """Of what was taught, what is of banks that do not forget."""
        return {name: made for name, made in taught.items() if name not in self._forgetters}

    def forget(self) -> None:
        """Have the past weigh little in long memories."""
        for bank in self._forgetters.values():
            bank.forget()

    def mark(self) -> dict[str, Any]:
        """Where the banks that forget are now, for `rewind`."""
        return {name: bank.mark() for name, bank in self._forgetters.items()}

    def rewind(self, mark: Mapping[str, Any]) -> None:
        """Go back to where `mark` was called, having learned batches since."""
        for name, bank in self._forgetters.items():
            bank.rewind(mark[name])

    def freeze(self) -> list[FrozenExperts]:
        """What the experts would say now, for ever."""
        return [bank.freeze() for bank in self._banks.values() if bank.names]

    def absorb(self, other: Banks, share: float) -> None:
        """Take in what others of the same make have learned; see `Bank.absorb`."""
        for name, bank in self._banks.items():
            bank.absorb(other._banks[name], share)

    def lines(self, ceiling_bias: Floats) -> tuple[Floats, Floats, Floats] | None:
        """A line: bias [C], weights [F, C], scales [F]; None if no bank can make one."""
        for bank in self._banks.values():
            if isinstance(bank, LineMaker):
                return bank.lines(ceiling_bias)
        return None

    def lines_above(self, level: Floats) -> tuple[Floats, Floats] | None:
        """Lines through 0 of what is above ``level`` [C]: weights [F, C], scales [F]; or None."""
        for bank in self._banks.values():
            if isinstance(bank, LineMaker):
                return bank.lines_above(level)
        return None

    def curves(self, greatest_at_rest: Floats) -> dict[str, list[Curve]]:
        """Curves by trainer, one of each component; none if no bank can make them."""
        for bank in self._banks.values():
            if isinstance(bank, CurveMaker):
                return bank.curves(greatest_at_rest)
        return {}

    def state(self, chunks: Chunks) -> State:
        """Everything that `restore` needs to go on, bit for bit; rows are left to ``chunks``."""
        return {
            name: bank.chunked_state(chunks) if isinstance(bank, ChunkedBank) else bank.state()
            for name, bank in self._banks.items()
        }

    def restore(self, state: State, chunks: Chunks) -> None:
        """Go on from a state that `state` gave."""
        for name, bank in self._banks.items():
            if isinstance(bank, ChunkedBank):
                bank.restore_chunked(state[name], chunks)
            else:
                bank.restore(state[name])
