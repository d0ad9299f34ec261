from __future__ import annotations

from pathlib import Path

import pytest

from estimator.errors import MisuseError, WattstreamError
from estimator.isolation.choose import make_isolator
from stream.analysis.recording import FileRecording, LogRecording, Wanted
from stream.collecting.collect import Collector
from stream.log.memory import MemoryLog
from stream.log.protocol import TopicSpec
from stream.records import POWER_TOPIC, USAGE_TOPIC, UsageRecord
from stream.sample import Sample
from stream.sources.trace import TraceSource
from tests.server.commands.traces import write_trace
from tests.stream.replays import FIRST_MS, LAST_MS, NODES, log_of_all


def plain(samples: list[Sample]) -> list[tuple[object, ...]]:
    return [(*sample[:6], sample.rates.tolist(), *sample[7:9]) for sample in samples]


def test_a_file_and_the_log_that_it_was_collected_into_make_the_same_samples(
    tmp_path: Path,
) -> None:
    path = write_trace(tmp_path / "trace.csv", rows=300)
    with MemoryLog() as log:
        log.create_topics([TopicSpec(topic, 2) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        with Collector([TraceSource(path)], log) as collector:
            collector.join()
        of_log = LogRecording(log).samples()
    of_file = FileRecording(path).samples()
    assert plain(of_file) == plain(of_log)
    # Two energy sources.
    assert len(of_file) == 600


def test_times_and_nodes_are_heeded_by_files_as_by_the_log(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "trace.csv", rows=100)
    some = FileRecording(path, Wanted("1700000030", "1700000090")).samples()
    # A sample needs power at both ends of its interval.
    assert {sample.end for sample in some} == {1_700_000_000_000 + n * 3000 for n in range(11, 30)}
    with pytest.raises(WattstreamError, match=r"no samples.*302 left out other nodes"):
        FileRecording(path, Wanted(nodes=("worker-*",))).samples()


def test_of_the_log_a_stretch_and_some_nodes() -> None:
    log, _clock = log_of_all()
    wanted = Wanted(f"{FIRST_MS / 1000:.3f}", f"{LAST_MS / 1000:.3f}", ("n1", "n2*"))
    samples = LogRecording(log, wanted).samples()
    assert {sample.node for sample in samples} == {"n1", "n2"}
    assert all(FIRST_MS <= sample.start < sample.end < LAST_MS for sample in samples)
    everything = LogRecording(log).samples()
    assert {sample.node for sample in everything} == set(NODES)
    assert [(one.end, one.node, one.source) for one in everything] == sorted(
        (one.end, one.node, one.source) for one in everything
    )
    inside = [
        sample
        for sample in everything
        if sample.node in {"n1", "n2"} and sample.start >= FIRST_MS and sample.end < LAST_MS
    ]
    assert {(s.node, s.end) for s in samples} <= {(s.node, s.end) for s in inside}


def test_who_looks_sees_every_record_and_what_was_unreadable() -> None:
    log, _ = log_of_all()
    seen: list[object] = []
    played = LogRecording(log).play(lambda _sample: None, seen.append)
    assert sum(isinstance(record, UsageRecord) for record in seen) == played.counts["usage_records"]
    assert len(seen) == played.counts["usage_records"] + played.counts["power_records"]
    assert played.dead
    assert "the first unreadable record: " in played.words


def test_looking_leaves_no_trace_in_the_log() -> None:
    log, _ = log_of_all()
    before = log.end_offsets(USAGE_TOPIC), log.committed("wattstream"), log.topics()
    LogRecording(log).samples()
    assert (log.end_offsets(USAGE_TOPIC), log.committed("wattstream"), log.topics()) == before


def test_with_hints_samples_know_their_background() -> None:
    log, _ = log_of_all()
    isolator = make_isolator("trainer", {"target_hints": "nobody"})
    samples = LogRecording(log).samples(isolator)
    assert all(sample.background is not None for sample in samples)
    assert all(sample.background is None for sample in LogRecording(log).samples())
    nobody = LogRecording(log).samples(make_isolator("trainer", {"bg_hints": "nobody"}))
    for one, other in zip(samples, nobody, strict=True):
        assert one.background is not None
        assert other.background is not None
        assert (one.background <= one.rates + 1e-9).all()
        assert not other.background.any()
    assert any(one.background is not None and one.background.any() for one in samples)


@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("trace.txt", Wanted(), "trace.txt: a trace"),
        ("none.csv", Wanted(), "none.csv cannot be read"),
        ("none.json", Wanted(), "none.json: there is no such file"),
        ("trace.csv", Wanted("now", "-1h"), "--from is now, which is not before --to, -1h"),
        ("trace.csv", Wanted("soon"), "'soon'"),
    ],
)
def test_what_makes_no_sense_is_misuse(
    tmp_path: Path, name: str, wanted: Wanted, said: str
) -> None:
    write_trace(tmp_path / "trace.csv")
    with pytest.raises(MisuseError, match=said):
        FileRecording(tmp_path / name, wanted).samples()


def test_an_empty_log() -> None:
    with MemoryLog() as log:
        with pytest.raises(WattstreamError, match=r"the log has no records: .*wattstream.usage"):
            LogRecording(log).samples()
        log.create_topics([TopicSpec(topic, 2) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        for wanted in (Wanted(), Wanted("-1h")):
            with pytest.raises(WattstreamError, match=r"the log: there are no samples.*no records"):
                LogRecording(log, wanted).samples()


def test_of_what_was_measured_long_before_the_log_took_it(tmp_path: Path) -> None:
    """As after ``query --topics`` of last month."""
    with MemoryLog() as log:
        log.create_topics([TopicSpec(topic, 2) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        with Collector([TraceSource(write_trace(tmp_path / "trace.csv"))], log) as collector:
            collector.join()
        assert len(LogRecording(log, Wanted("2023-11-14T22:13:50", "2023-11-15")).samples()) > 50
        with pytest.raises(WattstreamError, match="182 left out other times"):
            LogRecording(log, Wanted("2023-11-16", "2023-11-17")).samples()
