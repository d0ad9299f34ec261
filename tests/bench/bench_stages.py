"""What each stage of learning costs a sample: records in memory, no broker, no disk.

``python -m tests.bench.bench_stages``; with a number of nodes, that fleet alone, as a line of JSON.
Stages contain those before: messages read; read, merged, joined and put into rounds; learned by the
default pool. The checkpoint stands by itself. Its digest tells whether another tree of the code
has learned the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable

from estimator.vocabulary import FEATURE_GROUPS
from stream.learning import checkpoint
from stream.learning.intake import TOPICS, Intake
from stream.learning.pools import pool
from stream.learning.shard import Shard, read
from stream.learning.worker import relax_garbage_collection
from stream.log.memory import MemoryLog
from stream.log.protocol import Message, TopicPartition
from tests.bench.fleet import fill

FLEETS = {10: 401, 100: 61, 1000: 7}
"""Nodes, and how often each is read."""
WORKLOADS = 50
POLLED = 512
ROUNDS = 3


class Fleet:
    """The messages of so many nodes in a log, and as polls bring them."""

    def __init__(self, nodes: int) -> None:
        self.log = MemoryLog()
        self.samples = fill(self.log, nodes, FLEETS[nodes], WORKLOADS)
        self.polls: list[list[Message]] = []
        reader = self.log.reader({TopicPartition(topic, 0): 0 for topic in TOPICS})
        while polled := reader.poll(POLLED, 0.0):
            self.polls.append(polled)

    def read(self) -> None:
        """Read all messages."""
        for polled in self.polls:
            for message in polled:
                read(message)

    def joined(self) -> Shard:
        """Read, merge and join all, form rounds, and learn nothing."""
        return self._processed(Shard(0, pool(groups={}), _bury))

    def learned(self) -> Shard:
        """Read, merge, join and learn all."""
        return self._processed(Shard(0, pool(groups=FEATURE_GROUPS), _bury))

    def _processed(self, shard: Shard) -> Shard:
        intake = Intake(shard, self.log, time.time)
        ends = {topic: self.log.end_offsets(topic) for topic in TOPICS}
        for polled in self.polls:
            for message in polled:
                intake.add(message)
            done = intake.process_to(ends, idle=False)
        assert done
        shard.learner.flush()
        assert shard.learner.counts["samples"] == self.samples
        return shard


def _bury(message: Message, reason: str) -> None:
    raise AssertionError(f"{message.topic} {message.offset}: {reason}")


def measured(nodes: int) -> tuple[dict[str, float], str]:
    """Microseconds a sample by stage (the checkpoint's are of one commit), and its digest."""
    fleet = Fleet(nodes)
    shard = fleet.learned()
    stages: dict[str, Callable[[], object]] = {
        "read": fleet.read,
        "joined": fleet.joined,
        "learned": fleet.learned,
        "checkpoint": lambda: checkpoint.encode(shard.state()),
    }
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, stage in stages.items():
            started = time.process_time()
            stage()
            cost = 1e6 * (time.process_time() - started)
            best[name] = min(cost, best.get(name, cost))
    costs = {
        name: cost if name == "checkpoint" else cost / fleet.samples for name, cost in best.items()
    }
    return costs, hashlib.sha256(checkpoint.encode(shard.state())).hexdigest()


def run() -> None:
    """Print what the stages cost with fleets of several sizes."""
    print(
        f"processor time, records of {WORKLOADS} workloads, default pool; best of {ROUNDS} rounds"
    )
    print(f"{'us a sample:':>16} {'read':>7} {'joined':>7} {'learned':>8} {'ms a checkpoint':>17}")
    for nodes in FLEETS:
        costs, _ = measured(nodes)
        print(
            f"{nodes:>10} nodes {costs['read']:>7.1f} {costs['joined']:>7.1f} "
            f"{costs['learned']:>8.1f} {costs['checkpoint'] / 1000:>17.2f}",
            flush=True,
        )


if __name__ == "__main__":
    relax_garbage_collection()
    if len(sys.argv) > 1:
        print(json.dumps(measured(int(sys.argv[1]))))
    else:
        run()
