"""A long replay, interrupted and killed again and again, beside one that is left alone.

``python -m tests.bench.bench_resume [USAGE_RECORDS [FOLDER]]`` (30,000 without; as many power
records beside them). A SQLite log on disk, ``wattstream replay`` as a process; the folder, which
takes some 700 bytes a usage record, is a temporary one if none is named.
"""

from __future__ import annotations

import math
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from estimator.storage.store import open_store
from stream.log.protocol import TopicSpec
from stream.log.sqlite import SqliteLog
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC
from tests.bench.fleet import START_MS, fleet_records

NODES, WORKLOADS, PARTITIONS = 1000, 1, 2
FEATURES = ("bpf_cpu_time_ms",)
COMMIT_SECONDS = 2.0
PARTS: Final = 8
"""All lives but the last do such a part of the whole each, or less."""
SIGNALS: Final = (signal.SIGINT, signal.SIGKILL, signal.SIGKILL, signal.SIGINT)
PATIENCE_SECONDS = 3600.0
_MAIN: Final = "import sys; from server.main import main; sys.exit(main())"
_SHOWN: Final = re.compile(r"replay into \S+: +(\d+) %")


class Life(NamedTuple):
    """How a process ended, its report, how long it lived, and what progress it said."""

    status: int
    report: bytes
    seconds: float
    said: list[str]


def run(usage_records: int, folder: Path) -> None:
    """Print how long both took, and fail if they do not end alike."""
    steps = max(3, usage_records // NODES)
    size = _fill(folder / "log.sqlite", steps)
    print(
        f"{NODES * steps} usage records and as many of power, {size / 2**20:.0f} MiB: {NODES} nodes"
        f" of {WORKLOADS} workload, {PARTITIONS} partitions, commits every {COMMIT_SECONDS:g} s",
        flush=True,
    )
    calm = _live(folder, "calm", _range())
    assert calm.status == 0, calm.said
    print(f"  left alone: {_told(calm, 2 * NODES * steps)}", flush=True)
    lives = [_live(folder, "troubled", _range(), SIGNALS[0], calm.seconds / PARTS)]
    lives += [_live(folder, "troubled", (), how, calm.seconds / PARTS) for how in SIGNALS[1:]]
    lives.append(_live(folder, "troubled", ()))
    for how, life in zip((*SIGNALS, None), lives, strict=True):
        print(f"  {how.name if how else 'to its end'}: status {life.status}, {_told(life, 0)}")
    print(f"  in all {sum(life.seconds for life in lives):.1f} s")
    assert [life.status for life in lives] == [130, -9, -9, 130, 0]
    assert lives[-1].report == calm.report, "the reports differ"
    models = [_models(folder, name) for name in ("calm", "troubled")]
    assert models[0] == models[1] != {}, "the models differ"
    print(f"  the same report, and the same {len(models[0])} files of models, bit for bit")


def _fill(path: Path, steps: int) -> int:
    with SqliteLog(path) as log:
        log.create_topics([TopicSpec(topic, PARTITIONS) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        log.create_topics([TopicSpec(DEAD_TOPIC, 1)])
        for usage, power in fleet_records(NODES, steps, WORKLOADS, features=FEATURES):
            log.append_many(USAGE_TOPIC, usage)
            log.append_many(POWER_TOPIC, power)
    return path.stat().st_size


def _range() -> Sequence[str]:
    first = START_MS // 1000
    return "--from", str(first), "--to", str(first + 10**8), "--margin", "inf"


def _live(
    folder: Path,
    name: str,
    words: Sequence[str],
    how: signal.Signals | None = None,
    after_seconds: float = math.inf,
) -> Life:
    """One process; it gets the signal some time after its first commit, where there is one."""
    data = folder / name
    command = [sys.executable, "-c", _MAIN, "replay", "--log", f"sqlite://{folder}/log.sqlite"]
    flags = ["--data", data, "--into", "tried", "--commit-interval", str(COMMIT_SECONDS), "--json"]
    started = time.perf_counter()
    with (
        (folder / "said").open("w+") as said,
        subprocess.Popen(
            [*map(str, (*command, *flags, *words))], stdout=subprocess.PIPE, stderr=said
        ) as process,
    ):
        if how is not None:
            _wait_for_a_commit(data, process)
            # Any moment: within a commit, a poll, a round.
            time.sleep(after_seconds * random.uniform(0.5, 1.0))
            process.send_signal(how)
        report, _ = process.communicate(timeout=PATIENCE_SECONDS)
        said.seek(0)
        shown = [line for line in said.read().splitlines() if _SHOWN.search(line)]
    return Life(process.returncode, report, time.perf_counter() - started, shown)


def _wait_for_a_commit(data: Path, process: subprocess.Popen[bytes]) -> None:
    before = _pointers(data)
    while _pointers(data) == before:
        assert process.poll() is None, "the replay has ended by itself"
        time.sleep(0.01)


def _pointers(data: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in data.rglob("checkpoints/**/current.json")}


def _models(folder: Path, name: str) -> dict[str, bytes]:
    """Indexes, which name artifacts by their digests, and the artifacts."""
    store = open_store(f"file:{folder / name / 'store'}")
    kinds = ("models", "artifacts")
    return {
        path: store.get(path).data for kind in kinds for path in store.list(f"replays/tried/{kind}")
    }


def _told(life: Life, records: int) -> str:
    rate = f", {records / life.seconds:.0f} records/s" if records else ""
    percents = [found[1] for line in life.said if (found := _SHOWN.search(line))]
    lines = f"{percents[0]} to {percents[-1]} %" if percents else "none"
    return f"{life.seconds:.1f} s{rate}, lines of progress {len(percents)} ({lines})"


if __name__ == "__main__":
    usage_records = int(sys.argv[1]) if sys.argv[1:] else 30_000
    if sys.argv[2:]:
        run(usage_records, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as made:
            run(usage_records, Path(made))
