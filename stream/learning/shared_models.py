"""What the learners of a group show each other, so that one can publish what all have learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from estimator.errors import DamagedError, NotFoundError
from estimator.storage.store import Store
from stream.learning import checkpoint
from stream.learning.learner import Learner, Pool


class ShardModels(NamedTuple):
    """The models of one shard and how far it has read; a shard itself has the same, and more."""

    partition: int
    positions: dict[str, int]
    learner: Learner


class SharedModels:
    """The models of each shard of a group in the store, without their past: to be merged.

    What lies there is a copy for others: no shard ever goes on from it.
    """

    def __init__(self, store: Store, group: str, pool: Pool) -> None:
        self._store, self._pool = store, pool
        self._folder = f"shards/{group}"

    def write(self, partition: int, positions: dict[str, int], learner: Learner) -> None:
        """Show what a shard has learned, in place of what it showed before."""
        data = checkpoint.encode({"positions": positions, "learner": learner.present()})
        self._store.put(self._path(partition), data)

    def read(self, partition: int) -> ShardModels | None:
        """What a shard's owner has shown last; None if nothing that can be read."""
        try:
            state = checkpoint.decode(self._store.get(self._path(partition)).data)
        except (NotFoundError, DamagedError):
            return None
        learner = Learner(self._pool)
        learner.restore(state["learner"])
        return ShardModels(partition, dict(state["positions"]), learner)

    def read_many(self, partitions: Iterable[int]) -> dict[int, ShardModels | None]:
        """What the owners of these partitions have shown last."""
        return {partition: self.read(partition) for partition in partitions}

    def forget(self, partitions: Iterable[int]) -> None:
        """Show nothing of these partitions until their owners write it again."""
        for partition in partitions:
            self._store.delete(self._path(partition))

    def _path(self, partition: int) -> str:
        return f"{self._folder}/{partition}.models"
