"""A learner of a log of one partition, as benchmarks need it: the default pool, and a store."""

from __future__ import annotations

from estimator.model_store import ModelStore
from estimator.store import open_store
from stream.checkpoint import Checkpoints
from stream.dead_letters import DeadLetters
from stream.log.protocol import Log
from stream.pools import pool
from stream.publisher import Publisher
from stream.worker import Parts, Worker


def learner_of(log: Log, store_url: str) -> Worker:
    """The learner, which has read nothing yet."""
    store = open_store(store_url)
    parts = Parts(
        log=log,
        pool=pool(),
        checkpoints=Checkpoints(store, "bench"),
        publisher=Publisher(ModelStore(store)),
        dead_letter=DeadLetters(log).send,
    )
    return Worker(parts, [0])
