"""Records of a source that ends, or of a log as it is now, through the join of live data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from estimator.storage.store import open_store
from stream.joining.join import LATENESS_SECONDS
from stream.joining.merge import Entry
from stream.learning.checkpoint import Checkpoints
from stream.learning.learner import Learner, Pool
from stream.learning.shard import DeadLetter, Shard, read
from stream.learning.worker import Parts, Worker
from stream.log.protocol import Log, Message
from stream.records import USAGE_TOPIC, PowerRecord, encode, topic_of
from stream.sources.protocol import Record, Source

Read = Callable[[Message], Entry]


def feed_source(
    source: Source,
    shard: Shard,
    read: Read = read,
    is_wanted: Callable[[Record], bool] = lambda _record: True,
    polled: Callable[[], None] = lambda: None,
) -> None:
    """Give the shard all that the source has, without a log, in the order of a worker's merge.

    That is by event time, usage before power: all records of a time must be in one poll, so that
    sorting a poll sorts them all. ``polled`` is called after each.
    """
    while (records := source.poll()) is not None:
        for record in filter(is_wanted, sorted(records, key=_turn)):
            topic = topic_of(record)
            # As the log would have it, but for the time of appending: what was recorded long ago
            # has no clock of ours to be ahead of.
            offset = shard.positions[topic]
            message = Message(topic, 0, offset, record.at, record.node, encode(record))
            shard.process(read(message))
        polled()


def feed_log(
    log: Log,
    learner: Learner,
    read: Read,
    dead_letter: DeadLetter,
    pool: Pool | None = None,
    lateness_seconds: float = LATENESS_SECONDS,
) -> Sequence[Shard]:
    """Have one learner take the samples of all partitions, as far as the log has them now.

    The pool says what the joins carry; without one it is nothing but what every sample has.
    """
    parts = Parts(
        log=log,
        pool=pool or Pool({}, {}),
        checkpoints=Checkpoints(open_store("memory:"), "feeding"),
        publisher=None,
        dead_letter=dead_letter,
        read=read,
        lateness_seconds=lateness_seconds,
    )
    worker = Worker(parts, range(log.partitions(USAGE_TOPIC)))
    shards = list(worker.shards.values())
    for shard in shards:
        shard.learner = learner
    worker.run_to_end()
    return shards


def _turn(record: Record) -> tuple[int, bool]:
    return record.at, isinstance(record, PowerRecord)
