"""A recording, learned by the join and the learner of live data, without a log between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from estimator.errors import WattstreamError
from estimator.vocabulary import canonical_source
from stream.analysis.feeding import feed_source
from stream.joining.join import LATENESS_SECONDS
from stream.learning.learner import Pool
from stream.learning.publisher import FEWEST_SAMPLES
from stream.learning.shard import Shard, read
from stream.log.protocol import Message
from stream.records import PowerRecord
from stream.sources.protocol import Record, Source

Fraction = Callable[[float], None]
"""Is told now and then how much is done, from 0 to 1."""


class Recorded(Source, Protocol):
    """A source that ends and knows how far it is."""

    @property
    def points(self) -> int:
        """How many values, or rows, there are, once it was asked."""
        ...

    @property
    def polled(self) -> int:
        """How many of them it has made records of."""
        ...

    @property
    def skipped(self) -> int:
        """How many could not be used."""
        ...


def learn_all(
    source: Recorded,
    shard: Shard,
    is_wanted: Callable[[Record], bool] = lambda _record: True,
    progress: Fraction = lambda _done: None,
) -> None:
    """Have the shard learn the source's records to the end, in the order of a worker's merge.

    ``WattstreamError`` says why nothing can be read from the source.
    """
    feed_source(source, shard, read, is_wanted, lambda: progress(source.polled / source.points))
    shard.learner.flush()


class Training:
    """Learns a recording's records of some energy sources: in memory, from the first to the last.

    The records take the order in which a worker that finds them all in its log would merge them:
    by event time, usage before power. So the models are the same, bit for bit, as those of a
    worker that learns the same records; and no more of them is held than a poll gives.
    """

    def __init__(
        self,
        source: Recorded,
        pool: Pool,
        energy_sources: frozenset[str],
        lateness_seconds: float = LATENESS_SECONDS,
    ) -> None:
        self.energy_sources = energy_sources
        self.measured: set[str] = set()
        """Every energy source that the answer has measurements of."""
        self.dead: str = ""
        """Why the first record that cannot be read cannot be read."""
        self._source = source
        self.shard = Shard(0, pool, self._bury, lateness_seconds)

    def run(self, progress: Fraction = lambda _done: None) -> None:
        """Learn all that the source has; ``WattstreamError`` says why nothing can be learned."""
        learn_all(self._source, self.shard, self._is_wanted, progress)
        self._check()

    @property
    def samples(self) -> int:
        """How many samples have been learned from."""
        return self.shard.learner.counts["samples"]

    def _is_wanted(self, record: Record) -> bool:
        if not isinstance(record, PowerRecord):
            return True
        source = canonical_source(record.source)
        self.measured.add(source)
        return source in self.energy_sources

    def _bury(self, _message: Message, reason: str) -> None:
        self.dead = self.dead or reason

    def _check(self) -> None:
        wanted, measured = self.energy_sources, self.measured
        if measured and not wanted & measured:
            raise WattstreamError(
                f"energy_source is {', '.join(sorted(wanted))!r}: the recording has measured "
                f"energy of {', '.join(sorted(measured))} only"
            )
        most = max((model.samples for model in self.shard.learner.models.values()), default=0)
        if most < FEWEST_SAMPLES:
            raise WattstreamError(self._too_few(most))

    def _too_few(self, most: int) -> str:
        why = _SAMPLES.format(most, FEWEST_SAMPLES)
        counts = {**self.shard.counts, **self.shard.join.counts, **self.shard.learner.counts}
        others = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        dead = f"; a record cannot be read: {self.dead}" if self.dead else ""
        return f"{why} ({others or 'no records'}){dead}"


_SAMPLES: Final = (
    "the recording makes {} samples, intervals with usage of a known feature group and power "
    "beside it: at least {} are needed"
)
