from __future__ import annotations

import multiprocessing
import os
import re
import socket
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from estimator.errors import LogUnavailableError, MisuseError, WattstreamError
from estimator.settings import Settings
from server.assembly import (
    data_folder,
    joined,
    learner_name,
    log_of,
    make_topics,
    make_worker,
    only_learner,
    sources_of,
    store_of,
    wait_for_topics,
)
from server.monitoring.live import Live
from stream.collecting.collect import Collector
from stream.log.memory import MemoryLog
from stream.log.protocol import TopicPartition, TopicSpec
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=str(tmp_path / "data"), partitions=3)


def test_the_data_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    assert data_folder(Settings(data=str(folder))) == folder
    assert folder.is_dir()
    assert data_folder(Settings(data=str(folder))) == folder


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WattstreamError, match=r"data folder .*/file cannot be made: File exists"):
        data_folder(Settings(data=str(tmp_path / "file")))
    with pytest.raises(WattstreamError, match=r"file/below cannot be made: Not a directory"):
        data_folder(Settings(data=str(tmp_path / "file/below")))


def test_a_data_folder_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere: have the kernel's answer instead.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(WattstreamError, match="is not writable"):
        data_folder(Settings(data=str(tmp_path)))


def test_the_topics_are_there_once_the_log_is_open(settings: Settings) -> None:
    for _ in range(2):  # and again, when they are there already
        with log_of(settings) as log:
            make_topics(settings, log)
            partitions = {topic: log.partitions(topic) for topic in log.topics()}
            assert partitions == {USAGE_TOPIC: 3, POWER_TOPIC: 3, DEAD_TOPIC: 1}
    assert (Path(settings.data) / "log.sqlite").is_file()


def test_topics_of_other_partitions_are_misuse(settings: Settings, tmp_path: Path) -> None:
    with log_of(settings) as log:
        make_topics(settings, log)
        with pytest.raises(MisuseError, match="has 3 partitions, 4 were asked for"):
            make_topics(Settings(data=settings.data, partitions=4), log)


def test_the_store_is_in_the_data_folder(settings: Settings) -> None:
    store_of(settings).put("a", b"1")
    assert (Path(settings.data) / "store/a").read_bytes() == b"1"


def test_one_learner_at_a_time(settings: Settings) -> None:
    with only_learner(settings):
        with (
            pytest.raises(WattstreamError, match=rf"has a learner already .process {os.getpid()}"),
            only_learner(settings),
        ):
            raise AssertionError("two learners at once")
        # The refused one has not taken the first one's name away.
        assert (Path(settings.data) / "learner.lock").read_text() == str(os.getpid())
    with only_learner(settings):
        pass


def test_an_error_gives_the_lock_back(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), only_learner(settings):
        raise ZeroDivisionError
    with only_learner(settings):
        pass


def _hold(data: str, told: Connection) -> None:
    with only_learner(Settings(data=data)):
        told.send(os.getpid())
        told.recv()


@pytest.mark.slow
def test_the_learner_that_was_killed_leaves_no_lock(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(settings.data, there))
    process.start()
    try:
        assert here.poll(60)
        holder = here.recv()
        with pytest.raises(WattstreamError, match=f"process {holder}"), only_learner(settings):
            pass
        process.kill()
        process.join(10)
        with only_learner(settings):
            pass
    finally:
        process.kill()
        process.join(10)
        here.close()
        there.close()


def test_a_worker_of_all_partitions(settings: Settings) -> None:
    with log_of(settings) as log:
        make_topics(settings, log)
        with joined(settings, log) as membership:
            store = store_of(settings)
            worker = make_worker(settings, log, store, threading.Event(), membership, Live())
            assert list(worker.shards) == []
            assert worker.follow()
        assert list(worker.shards) == [0, 1, 2]
        assert worker.last_commit is None


def test_unknown_experts_are_misuse(settings: Settings) -> None:
    wrong = Settings(data=settings.data, experts=("ridge", "oracle"))
    with log_of(wrong) as log:
        make_topics(wrong, log)
        with (
            joined(wrong, log) as membership,
            pytest.raises(MisuseError, match="expert 'oracle' is unknown"),
        ):
            make_worker(wrong, log, store_of(wrong), threading.Event(), membership)


class Away(MemoryLog):
    """A log that is away for the first three times that it is asked for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        self.asked += 1
        if self.asked <= 3:
            raise LogUnavailableError("log kafka://a:1: no broker answers")
        super().create_topics(topics)


class Impatient(threading.Event):
    """Waits for nothing, and stops after so many times."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        if not self.left:
            self.set()
        return self.is_set()


def test_a_log_that_is_away_at_first_is_waited_for(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    log, told = Away(), list[str]()
    assert wait_for_topics(settings, log, Impatient(99), told.append)
    assert log.topics() == sorted([USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC])
    assert told == ["waiting for the log: log kafka://a:1: no broker answers"] * 3 + [""]
    assert caplog.text.count("waiting for the log") == 1  # and every 30 s


def test_who_waits_for_the_log_can_be_stopped(settings: Settings) -> None:
    assert not wait_for_topics(settings, Away(), Impatient(2), lambda _: None)


def test_a_learners_name_stays_and_is_the_data_folders_own(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node 7")
    name = learner_name(settings)
    assert re.fullmatch(r"node-7-[0-9a-f]{8}", name)
    assert learner_name(settings) == name
    assert learner_name(Settings(data=str(tmp_path / "other"))) != name
    assert learner_name(Settings(data=settings.data, learner="mine")) == "mine"
    monkeypatch.setattr(socket, "gethostname", lambda: "node-8")
    assert learner_name(settings).startswith("node-8-")  # a copied folder is another's


def test_sources_are_those_that_are_named(settings: Settings) -> None:
    assert len(sources_of(["acpi", "rapl"], settings)) == 2
    with pytest.raises(MisuseError, match="no source is named"):
        sources_of([], settings)


def test_collected_records_are_in_the_log(settings: Settings, tmp_path: Path) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text("timestamp,bpf_cpu_time_ms,package_power\n1700000000,1,2\n1700000003,3,4\n")
    with log_of(settings) as log:
        make_topics(settings, log)
        with Collector(sources_of([str(trace)], settings), log) as collector:
            assert collector.join(30)
        assert collector.failure is None
        ends = log.end_offsets(USAGE_TOPIC)
        assert sum(ends.values()) == 2
        assert set(ends) == {TopicPartition(USAGE_TOPIC, number) for number in range(3)}
