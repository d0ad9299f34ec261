from __future__ import annotations

import math
from typing import Any

import pytest

from estimator.errors import ConflictError, DamagedError, MisuseError, WattstreamError
from estimator.storage.store import InMemoryStore
from stream.log.memory import MemoryLog
from stream.log.protocol import TopicPartition, TopicSpec
from stream.log.window import Span
from stream.records import POWER_TOPIC, USAGE_TOPIC
from stream.replaying.replay_plan import PATH, Plan, check_same, default_name, keep_plan, kept_plan
from stream.replaying.replay_range import MARGIN_SECONDS, check_log, make_plan
from tests.stream.builders import START_MS, ManualClock, append, gauge, topics, usage
from tests.stream.replays import asked

NOW = START_MS / 1000 + 30 * 86_400
HOUR_MS = 3_600_000
U, P = TopicPartition(USAGE_TOPIC, 0), TopicPartition(POWER_TOPIC, 0)


def hourly(
    hours: int = 10, retention_seconds: float | None = None
) -> tuple[MemoryLog, ManualClock]:
    """A usage and a power record every hour, a second after their event time."""
    clock = ManualClock(START_MS / 1000)
    log = MemoryLog(clock)
    topics(log)
    if retention_seconds is not None:
        specs = [TopicSpec(topic, 1, retention_seconds) for topic in (USAGE_TOPIC, POWER_TOPIC)]
        log.create_topics(specs)
    for hour in range(hours):
        at = START_MS + hour * HOUR_MS
        clock.now = at / 1000 + 1
        append(log, usage(at, x=hour))
        append(log, gauge(at, platform=1))
    return log, clock


def seconds(hour: float) -> str:
    return str(START_MS // 1000 + int(hour * 3600))


def plan(log: MemoryLog, first: float, last: float, **more: Any) -> Plan:
    return make_plan(log, asked(start=seconds(first), end=seconds(last), **more), NOW)


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(None, (1, 7)), (0.0, (2, 5)), (1800.0, (2, 6)), (math.inf, (0, 10)), (1e9, (0, 10))],
)
def test_offsets_are_found_by_time_with_a_margin(
    margin: float | None, expected: tuple[int, int]
) -> None:
    assert MARGIN_SECONDS == 3600
    made = plan(hourly()[0], 1.9, 5.1 if margin else 5.0, margin=margin)
    if margin is None:
        made = plan(hourly()[0], 2.0, 5.1, margin=margin)
    assert made.offsets == {U: Span(*expected), P: Span(*expected)}
    assert made.partitions == 1
    assert made.deleted_before is None


def test_the_end_may_be_to_come() -> None:
    assert plan(hourly()[0], 5, 1000).offsets[U] == Span(4, 10)


def test_a_start_that_is_not_before_the_end_is_misuse() -> None:
    log = hourly()[0]
    for first, last in ((5, 5), (6, 5)):
        with pytest.raises(MisuseError, match=r"--from is .* which is not before --to"):
            plan(log, first, last)


@pytest.mark.parametrize("missing", ["start", "end"])
def test_both_times_are_needed(missing: str) -> None:
    flag = {"start": "--from", "end": "--to"}[missing]
    with pytest.raises(MisuseError, match=f"{flag} is needed"):
        make_plan(hourly()[0], asked(**{missing: None}), NOW)


def test_a_range_without_records_says_what_the_log_has() -> None:
    with pytest.raises(
        WattstreamError,
        match=r"took no record from 2023-11-13T22:13:20Z to 2023-11-13T23:13:20Z, nor 3600 s before"
        r".*from 2023-11-14T22:13:21Z to 2023-11-15T07:13:21Z",
    ):
        plan(hourly()[0], -24, -23)
    with pytest.raises(WattstreamError, match="there is nothing to replay"):
        plan(hourly()[0], 20, 21)


def test_a_log_without_records_or_topics_is_said() -> None:
    log = MemoryLog(ManualClock())
    with pytest.raises(WattstreamError, match=r"nothing to replay: topic 'wattstream.usage'"):
        plan(log, 0, 1)
    topics(log)
    with pytest.raises(WattstreamError, match=r"the log has no records$"):
        plan(log, 0, 1)
    log, clock = hourly(10, retention_seconds=60)
    clock.now += 1e6
    log.prune()
    with pytest.raises(WattstreamError, match="no records: retention has deleted all 20"):
        plan(log, 0, 1)


def test_topics_of_unequal_partitions_are_an_error() -> None:
    with MemoryLog() as log:
        log.create_topics([TopicSpec(USAGE_TOPIC, 2), TopicSpec(POWER_TOPIC, 1)])
        with pytest.raises(WattstreamError, match="have not as many partitions"):
            plan(log, 0, 1)


def test_what_retention_has_deleted_of_the_range_is_said() -> None:
    log, _ = hourly(10, retention_seconds=5 * 3600)  # 5 to 9 are left, perhaps 4
    begin = log.begin_offsets(USAGE_TOPIC)[U]
    assert 0 < begin < 6
    assert plan(log, 0, 9).deleted_before == START_MS + begin * HOUR_MS + 1000
    assert plan(log, 8, 9).deleted_before is None
    # The margin reaches into what was deleted, the range does not.
    assert plan(log, begin + 0.5, 9).deleted_before is None


def test_a_plan_is_kept_once() -> None:
    store, made = InMemoryStore(), plan(hourly()[0], 2, 5, nodes=("b", "a", "b"), margin=math.inf)
    assert kept_plan(store) is None
    keep_plan(store, made)
    assert kept_plan(store) == made
    assert made.nodes == ["a", "b"]
    with pytest.raises(ConflictError):
        keep_plan(store, made)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"\xff", "damaged"),
        (b'{"schema":1}', "damaged"),
        (b'{"schema":2}', "is 2"),
    ],
)
def test_a_damaged_plan_is_named(data: bytes, reason: str) -> None:
    store = InMemoryStore()
    store.put(PATH, data)
    with pytest.raises(DamagedError, match=rf"replay\.json.*{reason}"):
        kept_plan(store)


def test_the_same_is_the_same_however_it_is_said() -> None:
    made = make_plan(hourly()[0], asked(start="-30d", end=seconds(5), nodes=("a", "b")), NOW)
    later = NOW + 5000
    for same in (
        asked(start=None, end=None),
        asked(start="-30d", end=seconds(5), nodes=("b", "a"), margin=3600.0),
        asked(start="2023-11-14T23:13:20+01:00", end=None),
    ):
        check_same(made, same, later)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"start": "-29d"}, "--from is -29d, and .* began with -30d .2023-11-14T22:13:20Z"),
        ({"end": "2023-11-15"}, "--to is 2023-11-15, and"),
        ({"nodes": ("c",)}, "--nodes is c, and .* began with a,b:"),
        ({"margin": 0.0}, "--margin is 0, and .* began with 3600"),
        ({"lateness": 20.0}, "lateness is 20, and .* began with 10"),
        ({"experts": ("ridge", "amf")}, "experts is ridge,amf, and .* began with ridge:"),
    ],
)
def test_what_is_asked_otherwise_is_named(other: dict[str, Any], reason: str) -> None:
    made = make_plan(hourly()[0], asked(start="-30d", end=seconds(5), nodes=("a", "b")), NOW)
    with pytest.raises(MisuseError, match=reason):
        check_same(made, asked(**{"start": None, "end": None, **other}), NOW)


def test_another_log_is_refused() -> None:
    log, _ = hourly()
    made = plan(log, 2, 5)
    check_log(made, log)
    check_log(made, hourly(20)[0])
    with pytest.raises(MisuseError, match="not the one that the replay began with"):
        check_log(made, hourly(3)[0])
    more = MemoryLog(ManualClock())
    topics(more, 2)
    with pytest.raises(MisuseError, match="not the one that the replay began with"):
        check_log(made, more)


def test_a_name_is_made_of_the_times_and_the_nodes() -> None:
    start, end = "2023-11-14", "2023-11-15T12:00"
    assert default_name(asked(start=start, end=end), NOW) == "20231114t000000-20231115t120000"
    one, other = (
        default_name(asked(start=start, end=end, nodes=nodes), NOW) for nodes in (("a",), ("b",))
    )
    assert one != other
    assert one.startswith("20231114t000000-20231115t120000-")
