"""A replay of a topic beside a live learner of the same topic, and its memory meanwhile.

``python -m tests.bench.bench_replay [RECORDS [ROUNDS]]`` (or ``REPLAY_RECORDS``; 100,000 without).
One broker, one run, a process for each turn; it needs ``java``, and ``mvn`` once. Both turns run at
once with ``--together``: on a machine that others load, that alone makes their times comparable.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from estimator.storage.model_store import ModelStore
from estimator.storage.namespaces import in_namespace
from estimator.storage.store import open_store
from stream.learning.checkpoint import Checkpoints
from stream.learning.intake import TOPICS
from stream.learning.pools import DEFAULT_BANKS, pool
from stream.learning.publisher import Publisher
from stream.learning.worker import Parts, Worker, relax_garbage_collection
from stream.letters.dead_letters import DeadLetters
from stream.log.kafka import KafkaLog
from stream.log.protocol import TopicSpec
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC
from stream.replaying.replay import Replay, plan_of
from stream.replaying.replay_plan import Asked
from tests.bench.fleet import START_MS, fleet_records
from tests.kafka.broker import Broker, free_ports
from tests.kafka.jars import MissingToolError

LIMIT: Final = 0.8
NODES, WORKLOADS, PARTITIONS = 500, 2, 4
FEATURES = ("bpf_cpu_time_ms", "cpu_instructions")
COMMIT_SECONDS = 5.0
ROUNDS = 2
EVERY_SECONDS = 0.25


def run(records: int, rounds: int, together: bool) -> None:
    """Print records a second of both, their ratio, and the replay's memory."""
    steps = max(2, records // (2 * NODES))
    with (
        tempfile.TemporaryDirectory() as folder,
        Broker(Path(folder) / "kafka", *free_ports(2), heap_mib=512, quick=False) as broker,
    ):
        size = _fill(broker.url, steps)
        print(
            f"{2 * NODES * steps} records, {size / (2 * NODES * steps):.0f} bytes each: "
            f"{NODES} nodes of {WORKLOADS} workloads, {len(FEATURES)} features, "
            f"{PARTITIONS} partitions, commits every {COMMIT_SECONDS:g} s"
        )
        print(f"  {'':10} {'records/s':>10} {'cpu us':>7}   MiB at 25, 50, 75, 100 %")
        turns = [t for _ in range(rounds) for t in _turn(broker.url, folder, together)]
    assert len({turn["samples"] for turn in turns}) == 1, turns
    live, replay = (max(t["rate"] for t in turns if t["kind"] == kind) for kind in CHILDREN)
    cpu = [min(t["cpu_us"] for t in turns if t["kind"] == kind) for kind in CHILDREN]
    growth = max(t["mib"][3] - t["mib"][1] for t in turns if t["kind"] == "replay")
    print(f"  ratio of replay to live: {replay / live:.2f} (limit {LIMIT})")
    print(f"  the same by processor time: {cpu[0] / cpu[1]:.2f}")
    print(f"  memory gained in the second half of a replay: {growth:.1f} MiB")


def _fill(url: str, steps: int) -> int:
    size = 0
    with KafkaLog(url) as log:
        log.create_topics([TopicSpec(topic, PARTITIONS) for topic in TOPICS])
        log.create_topics([TopicSpec(DEAD_TOPIC, 1)])
        for usage, power in fleet_records(NODES, steps, WORKLOADS, features=FEATURES):
            log.append_many(USAGE_TOPIC, usage)
            log.append_many(POWER_TOPIC, power)
            size += sum(len(message.value) for message in (*usage, *power))
    return size


def _start(kind: str, url: str, folder: str) -> subprocess.Popen[bytes]:
    place = f"file://{folder}/{kind}-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "tests.bench.bench_replay", kind, url, place]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _turn(url: str, folder: str, together: bool) -> list[dict[str, Any]]:
    """Live and replay, one after the other or at once; what each has told."""
    if together:
        running = {kind: _start(kind, url, folder) for kind in CHILDREN}
        return [_told(kind, process) for kind, process in running.items()]
    return [_told(kind, _start(kind, url, folder)) for kind in CHILDREN]


def _told(kind: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, _ = process.communicate()
    assert process.returncode == 0, kind
    found: dict[str, Any] = {"kind": kind, **json.loads(out)}
    memory = " ".join(f"{mib:.1f}" for mib in found["mib"])
    print(f"  {kind:10} {found['rate']:>10.0f} {found['cpu_us']:>7.1f}   {memory}", flush=True)
    return found


def _live(log: KafkaLog, place: str) -> tuple[int, int]:
    """What `learn` does until nothing is left; records and samples."""
    store, stop = open_store(place), threading.Event()
    parts = Parts(
        log=log,
        pool=pool(),
        checkpoints=Checkpoints(store, "live"),
        publisher=Publisher(ModelStore(store)),
        dead_letter=DeadLetters(log).send,
        commit_seconds=COMMIT_SECONDS,
        stop=stop,
    )
    worker = Worker(parts, range(PARTITIONS))
    total = sum(end for topic in TOPICS for end in log.end_offsets(topic).values())

    def stop_at_the_end() -> None:
        while sum(sum(shard.positions.values()) for shard in worker.shards.values()) < total:
            time.sleep(0.05)
        stop.set()

    threading.Thread(target=stop_at_the_end, daemon=True).start()
    worker.run()
    return total, sum(shard.learner.counts["samples"] for shard in worker.shards.values())


def _replay(log: KafkaLog, place: str) -> tuple[int, int]:
    """What `replay` does; records and samples. The fleet's event times are of another year."""
    part = in_namespace(open_store(place), "bench")
    asked = Asked(
        start=str(START_MS // 1000),
        end="now",
        margin=math.inf,
        lateness=10.0,
        experts=DEFAULT_BANKS,
    )
    plan = plan_of(part, log, asked, time.time())
    replay = Replay(plan, log, part, pool(), commit_seconds=COMMIT_SECONDS)
    assert replay.run(lambda _done, _total: None)
    return replay.total, sum(shard.learner.counts["samples"] for shard in replay.shards)


CHILDREN: Final = {"live": _live, "replay": _replay}


def _child(kind: str, url: str, place: str) -> None:
    """One turn in this process, told as JSON."""
    relax_garbage_collection()
    seen: list[float] = []

    def watch() -> None:
        while True:
            seen.append(_resident_mib())
            time.sleep(EVERY_SECONDS)

    with KafkaLog(url) as log:
        log.end_offsets(POWER_TOPIC)
        threading.Thread(target=watch, daemon=True).start()
        started, cpu_started = time.perf_counter(), time.process_time()
        records, samples = CHILDREN[kind](log, place)
        seconds = time.perf_counter() - started
        cpu = time.process_time() - cpu_started
        parts = [seen[min(len(seen) - 1, len(seen) * quarter // 4)] for quarter in (1, 2, 3, 4)]
    found = {
        "rate": records / seconds,
        "cpu_us": 1e6 * cpu / records,
        "samples": samples,
        "mib": parts,
    }
    print(json.dumps(found))


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CHILDREN:
        _child(*sys.argv[1:])
        sys.exit(0)
    together = "--together" in sys.argv
    given = [word for word in sys.argv[1:] if word != "--together"] + ["", ""]
    records = int(given[0] or os.environ.get("REPLAY_RECORDS", "100000"))
    try:
        run(records, int(given[1] or ROUNDS), together)
    except MissingToolError as error:
        print(f"skipped: {error}")
        sys.exit(0)
