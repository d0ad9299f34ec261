from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from estimator.errors import MisuseError, WattstreamError
from estimator.settings import Settings
from server.assembly import (
    data_folder,
    make_worker,
    only_learner,
    open_topics,
    sources_of,
    store_of,
)
from server.live import Live
from stream.collect import Collector
from stream.log.protocol import TopicPartition
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
        with open_topics(settings) as log:
            partitions = {topic: log.partitions(topic) for topic in log.topics()}
            assert partitions == {USAGE_TOPIC: 3, POWER_TOPIC: 3, DEAD_TOPIC: 1}
    assert (Path(settings.data) / "log.sqlite").is_file()


def test_topics_of_other_partitions_are_misuse(settings: Settings, tmp_path: Path) -> None:
    open_topics(settings).close()
    with pytest.raises(MisuseError, match="partitions"):
        open_topics(Settings(data=settings.data, partitions=4))


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
    with open_topics(settings) as log:
        worker = make_worker(settings, log, store_of(settings), threading.Event(), Live())
        assert list(worker.shards) == [0, 1, 2]
        assert worker.last_commit is None


def test_unknown_experts_are_misuse(settings: Settings) -> None:
    wrong = Settings(data=settings.data, experts=("ridge", "oracle"))
    with open_topics(wrong) as log, pytest.raises(MisuseError, match="expert 'oracle' is unknown"):
        make_worker(wrong, log, store_of(wrong), threading.Event())


def test_sources_are_those_that_are_named(settings: Settings) -> None:
    assert len(sources_of(["acpi", "rapl"], settings)) == 2
    with pytest.raises(MisuseError, match="no source is named"):
        sources_of([], settings)


def test_collected_records_are_in_the_log(settings: Settings, tmp_path: Path) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text("timestamp,bpf_cpu_time_ms,package_power\n1700000000,1,2\n1700000003,3,4\n")
    with open_topics(settings) as log:
        with Collector(sources_of([str(trace)], settings), log) as collector:
            assert collector.join(30)
        assert collector.failure is None
        ends = log.end_offsets(USAGE_TOPIC)
        assert sum(ends.values()) == 2
        assert set(ends) == {TopicPartition(USAGE_TOPIC, number) for number in range(3)}
