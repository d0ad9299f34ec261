"""A learner of a log of one partition, as benchmarks need it: the default pool, and a store."""

from __future__ import annotations

from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters
from stream.log.protocol import Log


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
