"""Real processes and a real SIGKILL: what was learned in pieces is what is learned in one go."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from estimator.storage.store import open_store
from stream.learning import checkpoint
from stream.learning.checkpoint import Checkpoints
from stream.log.protocol import Outgoing
from stream.log.sqlite import SqliteLog
from stream.records import POWER_TOPIC, USAGE_TOPIC, encode, topic_of
from tests.stream.builders import fleet, topics

PARTITIONS = 2
KILLS = 3
PATIENCE_SECONDS = 30.0
WATTSTREAM = Path(sys.executable).with_name("wattstream")


def fill(path: Path) -> None:
    """A log with what it takes a learner some seconds to learn, and some that it cannot read."""
    by_topic: dict[str, list[Outgoing]] = {USAGE_TOPIC: [], POWER_TOPIC: []}
    for place, record in enumerate(fleet(nodes=8, steps=250, seed=5)):
        topic = topic_of(record)
        by_topic[topic].append(Outgoing(record.node, encode(record)))
        if place % 1000 == 500:
            by_topic[topic].append(Outgoing(record.node, b"nonsense"))
    with SqliteLog(path) as log:
        topics(log, PARTITIONS)
        for topic, outgoing in by_topic.items():
            log.append_many(topic, outgoing)


def learner(data: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [str(WATTSTREAM), "learn", "--data", str(data), "--partitions", str(PARTITIONS)]
    return subprocess.Popen(
        [*command, "--commit-interval", "0.05", "--log-level", "error", *flags],
        stdin=subprocess.DEVNULL,
    )


def learn_once(data: Path) -> None:
    with learner(data, "--once") as process:
        assert process.wait(60) == 0


def newest(data: Path) -> dict[int, bytes]:
    """The newest checkpoint of each partition."""
    found = {}
    checkpoints = Checkpoints(open_store(f"file:{data / 'store'}"), "wattstream")
    for number in range(PARTITIONS):
        state = checkpoints.read(number)
        if state is not None:
            found[number] = checkpoint.encode(state)
    return found


def wait_for_a_commit(data: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a pointer to a checkpoint is written that was not there before."""
    pointers = [data / f"store/checkpoints/wattstream/{n}/current.json" for n in range(PARTITIONS)]

    def written() -> list[bytes]:
        return [pointer.read_bytes() if pointer.exists() else b"" for pointer in pointers]

    before, deadline = written(), time.monotonic() + PATIENCE_SECONDS
    while written() == before:
        assert process.poll() is None, "the learner has ended by itself"
        assert time.monotonic() < deadline, "no commit came"
        time.sleep(0.005)


@pytest.mark.slow
def test_a_learner_that_is_killed_again_and_again_learns_the_same(tmp_path: Path) -> None:
    calm, troubled = tmp_path / "calm", tmp_path / "troubled"
    calm.mkdir()
    fill(calm / "log.sqlite")
    shutil.copytree(calm, troubled)

    learn_once(calm)
    expected = newest(calm)
    assert len(expected) == PARTITIONS

    rng = random.Random(7)
    for _ in range(KILLS):
        with learner(troubled) as process:
            try:
                wait_for_a_commit(troubled, process)
                time.sleep(rng.uniform(0, 0.3))  # any moment: within a commit, a poll, a round
            finally:
                process.kill()
            assert process.wait() == -signal.SIGKILL
        assert newest(troubled) != expected
    learn_once(troubled)
    assert newest(troubled) == expected
