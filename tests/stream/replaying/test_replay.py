from __future__ import annotations

import random
import threading
from contextlib import closing
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import MisuseError, StoreError, WattstreamError
from estimator.storage.model_store import ModelStore
from estimator.storage.namespaces import in_namespace
from estimator.storage.store import InMemoryStore, Store
from stream.analysis.replay_report import check_learned, replay_report
from stream.learning import checkpoint
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters
from stream.log.protocol import Log
from stream.records import DEAD_TOPIC, GROUP, POWER_TOPIC, USAGE_TOPIC, decode_power, decode_usage
from stream.replaying.replay import Replay, plan_of
from stream.replaying.replay_plan import Asked, kept_plan
from tests.stream.builders import ManualClock, append, fleet
from tests.stream.crashes import Fuse, FusedLog, FusedStore, Killed
from tests.stream.replays import (
    FIRST_MS,
    LAST_MS,
    PARTITIONS,
    asked,
    log_of_all,
)

NAME = "test"


def replay_of(
    log: Any, store: Any, ask: Asked, clock: ManualClock, fresh: bool = False, **more: Any
) -> Replay:
    part = in_namespace(store, NAME)
    plan = plan_of(part, log, ask, clock.now, fresh=fresh)
    return Replay(plan, log, part, pool(plan.experts), **{"clock": clock, **more})


def reported(replay: Replay, store: Store, log: Log, ask: Asked) -> bytes:
    plan = plan_of(in_namespace(store, NAME), log, ask, 0.0)
    return msgspec.json.encode(replay_report(NAME, plan, replay.shards))


def published(store: Store) -> dict[str, list[str]]:
    found = ModelStore(in_namespace(store, NAME)).indexes()
    return {slug: [version.digest for version in index.versions] for slug, index in found.items()}


@cache
def undisturbed() -> tuple[bytes, dict[str, list[str]]]:
    """The report and the models of a replay that nothing has disturbed."""
    (log, clock), store = log_of_all(), InMemoryStore()
    replay = replay_of(log, store, asked(), clock)
    assert replay.run()
    return reported(replay, store, log, asked()), published(store)


def outside(store: Store) -> dict[str, bytes]:
    paths = (path for path in store.list("") if not path.startswith("replays/"))
    return {path: store.get(path).data for path in paths}


def test_the_stream_is_worth_the_test() -> None:
    report = msgspec.json.decode(undisturbed()[0])
    assert report["samples"] > 50
    assert report["left_out"]["other times"] > 50
    assert report["left_out"]["other nodes"] == 0
    assert all(report["dead"].values())
    assert report["dropped"]
    assert len(report["models"]) > 2
    for model in report["models"]:
        assert model["samples"] > 0
        assert all(errors["mae"] > 0 for errors in model["components"].values())


def test_every_record_is_accounted_for() -> None:
    """The report counts what is in the log, by another way of counting."""
    log, _ = log_of_all()
    report = msgspec.json.decode(undisturbed()[0])
    inside = 0
    for topic, decode in ((USAGE_TOPIC, decode_usage), (POWER_TOPIC, decode_power)):
        with closing(log.reader(log.begin_offsets(topic))) as reader:
            for message in reader.poll(10**6, 0.0):
                if b'"node"' in message.value:
                    inside += FIRST_MS <= decode(message.value).at < LAST_MS
    assert report["records"] == inside
    counted = report["records"] + sum(report["left_out"].values()) + sum(report["dead"].values())
    assert counted == report["read"]
    assert report["skipped"] == 0


def test_one_version_of_every_model_is_published() -> None:
    report, models = undisturbed()
    assert set(models) == {one["model"] for one in msgspec.json.decode(report)["models"]}
    assert all(len(versions) == 1 for versions in models.values())


def test_a_replay_of_all_is_what_a_live_worker_learned() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    live = Worker(
        Parts(
            log=log,
            pool=pool(["ridge"]),
            checkpoints=Checkpoints(InMemoryStore(), "g"),
            publisher=None,
            dead_letter=DeadLetters(log).send,
            clock=clock,
        ),
        range(PARTITIONS),
    )
    live.run_to_end()
    replay = replay_of(log, store, asked(start="2020-01-01", margin=1e9, end="2030-01-01"), clock)
    assert replay.run()
    for shard in replay.shards:
        expected = live.shards[shard.partition].state()
        assert checkpoint.encode(shard.state()) == checkpoint.encode(expected)


def test_it_leaves_the_log_and_the_live_models_as_they_were() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    parts = Parts(
        log=log,
        pool=pool(["ridge"]),
        checkpoints=Checkpoints(store, GROUP),
        publisher=Publisher(ModelStore(store)),
        dead_letter=DeadLetters(log).send,
        clock=clock,
    )
    live = Worker(parts, range(PARTITIONS))
    live.run_to_end()
    assert live.commit()
    before = outside(store), log.committed(GROUP), log.topics(), log.end_offsets(DEAD_TOPIC)
    assert before[0]
    replay = replay_of(log, store, asked(), clock, commit_seconds=0.0)
    assert replay.run()
    assert (
        outside(store),
        log.committed(GROUP),
        log.topics(),
        log.end_offsets(DEAD_TOPIC),
    ) == before
    assert log.committed("replay") == {}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_polls_of_any_size_make_no_difference(seed: int) -> None:
    rng, (log, clock), store = random.Random(seed), log_of_all(), InMemoryStore()
    few = FusedLog(log, Fuse(), lambda: rng.choice([1, 2, 7, 50, 400]))
    replay = replay_of(few, store, asked(), clock)
    assert replay.run()
    assert (reported(replay, store, log, asked()), published(store)) == undisturbed()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_crashes_anywhere_make_no_difference(seed: int) -> None:
    """Killed at any touch of the store, while others go on appending; then resumed."""
    rng, (log, clock), store = random.Random(seed), log_of_all(), InMemoryStore()
    fuse = Fuse()
    few = FusedLog(log, Fuse(), lambda: rng.choice([5, 20, 60]))
    more = iter(fleet(nodes=2, steps=40, seed=9))
    for _ in range(rng.randint(1, 4)):
        fuse.left, fuse.after = rng.randint(1, 90), rng.random() < 0.5
        try:
            fused = FusedStore(store, fuse)
            replay_of(few, fused, asked(), clock, commit_seconds=0.0).run()
        except Killed:
            pass
        if kept_plan(in_namespace(store, NAME)) is None:
            continue  # it was killed before it had begun: a new plan may have other ends
        clock.now += rng.choice([0, 10, 10_000])
        for record, _ in zip(more, range(10), strict=False):
            append(log, record)
    begun = kept_plan(in_namespace(store, NAME)) is not None
    replay = replay_of(few, store, asked(start=None, end=None) if begun else asked(), clock)
    assert replay.run()
    assert (reported(replay, store, log, asked()), published(store)) == undisturbed()


def test_what_is_stopped_goes_on_where_it_was() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    few = FusedLog(log, Fuse(), lambda: 20)
    total, done, ended, lives = 0, 0, False, 0
    while not ended and lives < 200:
        lives += 1
        stop, shown = threading.Event(), list[tuple[int, int]]()

        def show(
            done: int,
            total: int,
            shown: list[tuple[int, int]] = shown,
            stop: threading.Event = stop,
        ) -> None:
            shown.append((done, total))
            if len(shown) == 3:
                stop.set()

        replay = replay_of(few, store, asked(), clock, stop=stop)
        assert replay.done == done
        ended = replay.run(show)
        assert all(before <= after for before, after in pairwise(shown))
        assert replay.done >= done
        total, done = replay.total, replay.done
        assert ended or published(store) == {}
    assert lives > 3
    assert done == total
    assert (reported(replay, store, log, asked()), published(store)) == undisturbed()


def test_run_again_it_says_the_same_again() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    assert replay_of(log, store, asked(), clock).run()
    again = replay_of(log, store, asked(), clock)
    assert again.done == again.total
    assert again.run()
    assert (reported(again, store, log, asked()), published(store)) == undisturbed()


def test_fresh_begins_anew_with_what_the_log_has_now() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    assert replay_of(log, store, asked(nodes=("n1",)), clock).run()
    with pytest.raises(MisuseError, match="--nodes is n2"):
        replay_of(log, store, asked(nodes=("n2",)), clock)
    replay = replay_of(log, store, asked(nodes=("n*",)), clock, fresh=True)
    assert replay.done == 0
    assert replay.run()
    found = msgspec.json.decode(reported(replay, store, log, asked(nodes=("n*",))))
    assert found["nodes"] == ["n*"]
    assert {**found, "nodes": []} == msgspec.json.decode(undisturbed()[0])
    assert published(store) == undisturbed()[1]


def test_a_deletion_that_was_interrupted_is_completed() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    ask = asked(nodes=("n1",))
    assert replay_of(log, store, ask, clock).run()
    fuse = Fuse()
    fuse.left, fuse.after = 4, True  # of the deletes
    with pytest.raises(Killed):
        replay_of(log, FusedStore(store, fuse), asked(), clock, fresh=True)
    replay = replay_of(log, store, asked(), clock)
    assert replay.run()
    assert (reported(replay, store, log, asked()), published(store)) == undisturbed()


def test_some_nodes_learn_what_they_would_learn_alone() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    ask = asked(nodes=("n1", "n3"))
    replay = replay_of(log, store, ask, clock)
    assert replay.run()
    report = msgspec.json.decode(reported(replay, store, log, ask))
    assert report["left_out"]["other nodes"] > 100
    whole = msgspec.json.decode(undisturbed()[0])
    assert 0 < report["samples"] < whole["samples"]
    assert (
        report["records"] + sum(report["left_out"].values()) + sum(report["dead"].values())
        == (whole["read"])
    )
    alone, clock = log_of_all(("n1", "n3"))
    other = InMemoryStore()
    assert replay_of(alone, other, asked(), clock).run()
    assert {slug: len(versions) for slug, versions in published(other).items()} == {
        slug: len(versions) for slug, versions in published(store).items()
    }
    replay_alone = replay_of(alone, other, asked(), clock)
    expected = msgspec.json.decode(reported(replay_alone, other, alone, asked()))
    assert report["models"] == expected["models"]
    assert report["dropped"] == expected["dropped"]


def test_where_nothing_is_learned_it_says_why() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    ask = asked(nodes=("stranger",))
    replay = replay_of(log, store, ask, clock)
    assert replay.run()
    with pytest.raises(WattstreamError, match=r"nothing was learned: of \d+ .* of other nodes\)$"):
        check_learned(msgspec.json.decode(reported(replay, store, log, ask)))
    check_learned(msgspec.json.decode(undisturbed()[0]))


def test_what_retention_deletes_meanwhile_is_counted() -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    replay = replay_of(log, store, asked(margin=0.0), clock)
    total = replay.total
    for partition in log._partitions.values():  # all of it, as retention would
        partition.begin, partition.messages = partition.end, []
    assert replay.run()
    report = msgspec.json.decode(reported(replay, store, log, asked(margin=0.0)))
    assert (report["skipped"], report["records"], report["read"]) == (total, 0, total)


class Refusing(InMemoryStore):
    refuses = False

    def put(self, path: str, data: bytes) -> str:
        if self.refuses and "checkpoints" in path:
            raise StoreError(f"{path}: the store is away")
        return super().put(path, data)


def test_a_checkpoint_that_cannot_be_written_is_said_and_nothing_is_published() -> None:
    (log, clock), store = log_of_all(), Refusing()
    store.refuses = True
    replay = replay_of(log, store, asked(), clock)
    with pytest.raises(StoreError, match="the last checkpoint could not be written"):
        replay.run()
    assert published(store) == {}
    store.refuses = False
    again = replay_of(log, store, asked(), clock)
    assert again.run()
    assert (reported(again, store, log, asked()), published(store)) == undisturbed()


def test_unreadable_records_are_said_once_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    (log, clock), store = log_of_all(), InMemoryStore()
    assert replay_of(log, store, asked(), clock).run()
    said = [line for line in caplog.messages if "cannot be read, nor may others" in line]
    dead = msgspec.json.decode(undisturbed()[0])["dead"]
    assert 1 <= len(said) <= 3
    assert sum(dead.values()) > len(said)
