from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import RecordError
from stream.joining.usage_decoder import UsageDecoder
from stream.records import UsageRecord, Workloads, decode_usage, encode
from tests.stream.test_records import BAD_USAGE, USAGE_GOLDEN, usage_records, workloads


def said(decoder: UsageDecoder, data: bytes, appended_ms: int | None = None) -> UsageRecord | str:
    """The record, or the reason why there is none; the same as `decode_usage` says."""
    try:
        expected: UsageRecord | str = decode_usage(data, appended_ms)
    except RecordError as error:
        expected = str(error)
    try:
        found: UsageRecord | str = decoder.decode(data, appended_ms)
    except RecordError as error:
        found = str(error)
    assert found == expected
    return found


@given(st.lists(usage_records(), max_size=5), st.data())
def test_whatever_came_before_a_record_is_read_as_by_itself(
    records: list[UsageRecord], data: st.DataObject
) -> None:
    decoder = UsageDecoder()
    for record in records:
        sound = encode(record)
        damaged = bytearray(sound)
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        for value in (sound, bytes(damaged), sound):
            said(decoder, value)
        said(decoder, sound, record.at - data.draw(st.integers(0, 10_000_000)))


@pytest.mark.parametrize("name", BAD_USAGE)
def test_bad_usage_is_refused_with_the_same_words(name: str) -> None:
    decoder = UsageDecoder()
    decoder.decode(encode(USAGE_GOLDEN["usage_counter_v1.json"]))
    assert isinstance(said(decoder, BAD_USAGE[name][0]), str)


def test_a_workload_is_named_twice_however_often_it_is_said() -> None:
    decoder, twice = UsageDecoder(), workloads(["p", "p"], ["pod", "pod"])
    for _ in range(3):
        assert said(decoder, twice) == "workloads.id names a workload twice"


def test_records_of_the_same_workloads_share_their_ids() -> None:
    decoder = UsageDecoder()
    first, same = (decoder.decode(workloads(["p", "q"], ["pod", "vm"], x=[n, n])) for n in (1, 2))
    other = decoder.decode(workloads(["q", "p"], ["pod", "vm"], x=[3, 3]))
    again = decoder.decode(workloads(["p", "q"], ["pod", "vm"], x=[4, 4]))
    assert same.workloads.id is first.workloads.id
    assert other.workloads.id == ["q", "p"]
    assert again.workloads == Workloads(["p", "q"], ["pod", "vm"], {"x": [4.0, 4.0]})


def test_many_nodes_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.joining.usage_decoder._MOST_NODES", 3)
    decoder = UsageDecoder()
    for number in range(20):
        record = UsageRecord(v=1, node=f"n{number}", at=1, mode="counter")
        assert said(decoder, encode(record)) == record
    assert len(decoder) <= 3
