"""Replay: a stretch of the log is learned anew, apart from the live learners and their models."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final

from estimator.errors import StoreError
from estimator.storage.model_store import ModelStore
from estimator.storage.store import Store
from stream.learning.checkpoint import Checkpoints
from stream.learning.learner import Pool
from stream.learning.publisher import Publisher
from stream.learning.shard import Shard
from stream.learning.worker import Parts, Progress, Worker
from stream.letters.dead_letters import reason_kind
from stream.log.protocol import Log, Message
from stream.log.window import WindowLog
from stream.replaying.replay_plan import PATH, Asked, Plan, check_same, keep_plan, kept_plan
from stream.replaying.replay_range import check_log, make_plan
from stream.replaying.selection import Selection

_log = logging.getLogger(__name__)

GROUP: Final = "replay"
"""The folder of its checkpoints, below the namespace's own."""


def plan_of(store: Store, log: Log, asked: Asked, now: float, *, fresh: bool = False) -> Plan:
    """The plan of the namespace whose part of the store that is: the kept one, or a new one.

    ``fresh`` deletes what is there. ``MisuseError`` if what is asked for is not what is kept.
    """
    plan = None if fresh else kept_plan(store)
    if plan is not None:
        check_same(plan, asked, now)
        check_log(plan, log)
        return plan
    plan = make_plan(log, asked, now)
    # The plan goes first and comes last: without one, what is there is the rest of a deletion.
    store.delete(PATH)
    for path in store.list(""):
        store.delete(path)
    keep_plan(store, plan)
    return plan


class Replay:
    """Learns what the plan says, by the very path of live records, into a store of its own.

    It goes on from its last checkpoint, and ends in the same models, bit for bit, however often it
    was interrupted. The log is only read: see `WindowLog`.
    """

    def __init__(
        self,
        plan: Plan,
        log: Log,
        store: Store,
        pool: Pool,
        *,
        commit_seconds: float = 10.0,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models = ModelStore(store)
        spans = plan.offsets
        self.selection = Selection(plan.start, plan.end, plan.nodes)
        parts = Parts(
            log=WindowLog(log, spans),
            pool=pool,
            checkpoints=Checkpoints(store, GROUP),
            publisher=None,
            dead_letter=_FirstOfEachKind(),
            read=self.selection.read,
            group=GROUP,
            lateness_seconds=plan.lateness,
            commit_seconds=commit_seconds,
            clock=clock,
            stop=threading.Event() if stop is None else stop,
        )
        self._worker = Worker(parts, range(plan.partitions))
        self._total = sum(end - start for start, end in spans.values())
        self._starts = sum(start for start, _ in spans.values())

    @property
    def shards(self) -> list[Shard]:
        """The shards of all partitions, in their order."""
        return list(self._worker.shards.values())

    @property
    def done(self) -> int:
        """How many messages of the plan's have been learned or passed over."""
        return sum(sum(shard.positions.values()) for shard in self.shards) - self._starts

    @property
    def total(self) -> int:
        """How many messages the plan has."""
        return self._total

    def run(self, progress: Progress | None = None) -> bool:
        """Learn to the end, commit, and publish the models; False if it was stopped before.

        The models are published at the end only, so that there is one version of each. ``progress``
        is told of how many messages of all are done. ``StoreError`` if the last checkpoint could
        not be written: what the one before it has is safe.
        """
        before = self.done
        tell = progress or (lambda _done, _total: None)
        ended = self._worker.run_to_end(
            lambda done, _: tell(before + done, self._total), commits=True
        )
        if not self._worker.commit():
            raise StoreError("the last checkpoint could not be written, run it again to go on")
        if ended:
            # What it has learned is what was asked for, better or worse than what lies there.
            Publisher(self._models, margin=math.inf).publish(*self.shards)
        return ended


class _FirstOfEachKind:
    """Says why records are set aside, once a kind; the shards count them all."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, message: Message, reason: str) -> None:
        kind = reason_kind(reason)
        if kind not in self._said:
            self._said.add(kind)
            where = f"{message.topic}/{message.partition} offset {message.offset}"
            _log.warning("%s cannot be read, nor may others: %s", where, reason)
