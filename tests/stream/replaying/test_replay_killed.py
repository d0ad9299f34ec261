"""Real processes and a real SIGKILL: a replay in pieces reports what one in one go does."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from estimator.storage.store import open_store
from stream.log.kafka import KafkaLog
from stream.log.protocol import Log, Outgoing
from stream.log.sqlite import SqliteLog
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC, encode
from tests.kafka.broker import Broker
from tests.stream.builders import START_MS, gauge, usage
from tests.stream.replays import fill_at_once

KILLS = 3
PATIENCE_SECONDS = 240.0
WATTSTREAM = Path(sys.executable).with_name("wattstream")
RANGE = ("--from", "2023-11-14T22:13:50", "--to", "2023-11-14T22:30", "--margin", "inf")
assert START_MS == 1_700_000_000_000  # 2023-11-14T22:13:20Z


def replay(url: str, data: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [str(WATTSTREAM), "replay", "--log", url, "--data", str(data), "--into", "tried"]
    flags = ["--commit-interval", "0.05", "--log-level", "error", "--json"]
    return subprocess.Popen(
        [*command, *flags, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )


def report(url: str, data: Path, *words: str) -> bytes:
    with replay(url, data, *words) as process:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
    return out


def pointers(data: Path) -> dict[Path, bytes]:
    """What the pointers to the current checkpoints say; they are replaced at once."""
    folder = data / "store" / "replays" / "tried" / "checkpoints"
    return {path: path.read_bytes() for path in folder.rglob("current.json")}


def wait_for_a_commit(data: Path, process: subprocess.Popen[bytes]) -> None:
    before, deadline = pointers(data), time.monotonic() + PATIENCE_SECONDS
    while pointers(data) == before:
        assert process.poll() is None, "the replay has ended by itself"
        assert time.monotonic() < deadline, "no commit came"
        time.sleep(0.005)


def current_models(data: Path) -> dict[str, bytes]:
    store = open_store(f"file:{data / 'store'}")
    return {path: store.get(path).data for path in store.list("replays/tried/models")}


def traces(log: Log) -> tuple[object, ...]:
    """What a replay could have changed of the log."""
    return log.topics(), log.end_offsets(DEAD_TOPIC), log.committed("wattstream")


@pytest.fixture(params=["sqlite", "kafka"])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Log]]:
    """A log with what it takes some seconds to replay."""
    if request.param == "sqlite":
        url = f"sqlite://{tmp_path / 'log.sqlite'}"
        with SqliteLog(tmp_path / "log.sqlite") as log:
            fill_at_once(log, nodes=8, steps=300)
            yield url, log
    else:
        broker: Broker = request.getfixturevalue("own_kafka")
        with KafkaLog(broker.url) as log:
            fill_at_once(log, nodes=8, steps=300)
            yield broker.url, log


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_replay_that_is_killed_again_and_again_reports_the_same(
    log_url: tuple[str, Log], tmp_path: Path
) -> None:
    (url, log), calm, troubled = log_url, tmp_path / "calm", tmp_path / "troubled"
    before = traces(log)
    expected = report(url, calm, *RANGE)
    assert b'"samples"' in expected
    assert current_models(calm)

    rng = random.Random(7)
    for life in range(KILLS):
        with replay(url, troubled, *(RANGE if life == 0 else ())) as process:
            try:
                wait_for_a_commit(troubled, process)
                time.sleep(rng.uniform(0, 0.2))  # any moment: within a commit, a poll, a round
            finally:
                process.kill()
            assert process.wait() == -signal.SIGKILL
        assert current_models(troubled) == {}
        # Others go on writing; that is not part of the replay.
        for at in range(START_MS + 60_000, START_MS + 90_000, 1000):
            log.append_many(USAGE_TOPIC, [Outgoing("n1", encode(usage(at, node="n1", x=life)))])
            log.append_many(POWER_TOPIC, [Outgoing("n1", encode(gauge(at, node="n1", platform=9)))])
    assert report(url, troubled) == expected
    assert current_models(troubled) == current_models(calm)
    assert report(url, troubled) == expected  # once more, from the last checkpoint
    assert traces(log) == before
