from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import LogUnavailableError, MisuseError, NotFoundError, RefusedError
from estimator.storage.store import InMemoryStore
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import pool
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letter_box import GROUP, DeadLetterBox, Letter
from stream.letters.dead_letters import DeadLetters
from stream.letters.letter_lines import letter_line, read_repaired
from stream.letters.redrive import Choice, Redriver
from stream.log.memory import MemoryLog
from stream.log.protocol import Log, Message, Outgoing, TopicPartition
from stream.log.reading import read_between
from stream.log.sqlite import SqliteLog
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC, PowerRecord, encode, topic_of
from tests.stream.builders import append, fleet, topics

NOW = 1_700_000_000.0
DEAD = TopicPartition(DEAD_TOPIC, 0)


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    with MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.sqlite") as log:
        topics(log, 2)
        yield log


def good(node: str, at: int = int(NOW * 1000)) -> bytes:
    return encode(PowerRecord(1, node, at, "acpi", watts={"platform": 1.0}))


def bury(
    log: Log,
    value: bytes,
    reason: str = "v is 2: this release reads version 1",
    *,
    key: str = "n1",
    topic: str = POWER_TOPIC,
    headers: tuple[tuple[str, bytes], ...] = (),
    offset: int = 7,
) -> None:
    DeadLetters(log).send(Message(topic, 1, offset, 5, key, value, headers), reason)


class Run:
    """One run of redriving: what became of the letters, and which were said to stay."""

    def __init__(
        self,
        log: Log,
        choice: Choice | None = None,
        repaired: dict[str, bytes] | None = None,
        *,
        again: bool = False,
        dry_run: bool = False,
    ) -> None:
        self.stay: dict[str, str] = {}
        redriver = Redriver(
            log, DeadLetterBox(log), clock=lambda: NOW, tell=self.tell, dry_run=dry_run
        )
        self.met = redriver.run(choice or Choice(), repaired, again=again)
        total: Counter[str] = Counter()
        for counts in redriver.counts.values():
            for fate, count in counts.items():
                total[fate] += count
        self.counts = {fate: count for fate, count in total.items() if count}

    def tell(self, letter: Letter, why: str) -> None:
        self.stay[letter.name] = why


def content(log: Log, topic: str) -> list[Message]:
    return list(read_between(log, log.begin_offsets(topic), log.end_offsets(topic)))


def waiting(log: Log) -> list[str]:
    return list(DeadLetterBox(log).waiting)


def test_a_letter_that_can_be_read_by_now_goes_back_as_it_is_once(log: Log) -> None:
    headers = (("trace", b"\xff"), ("trace", b"2"))
    bury(log, good("n1"), key="", headers=headers)
    bury(log, b'{"v": 2}')
    assert waiting(log) == ["0/0", "0/1"]
    first = Run(log)
    assert first.counts == {"redriven": 1, "unreadable": 1}
    assert first.stay == {"0/1": "v is 2: this release reads version 1"}
    (sent,) = content(log, POWER_TOPIC)
    assert (sent.key, sent.value) == ("n1", good("n1"))
    assert sent.headers == (*headers, ("redriven", b"0/0"))
    assert waiting(log) == ["0/1"]
    assert log.committed(GROUP) == {DEAD: 1}
    assert Run(log).counts == {"unreadable": 1}
    assert len(content(log, POWER_TOPIC)) == 1


def test_what_is_sent_again_must_be_asked_for(log: Log) -> None:
    bury(log, good("n1"))
    Run(log)
    assert Run(log).counts == {}
    assert log.committed(GROUP) == {DEAD: 2}  # the letter and its receipt
    assert Run(log, again=True).counts == {"redriven": 1}
    assert len(content(log, POWER_TOPIC)) == 2
    assert len(content(log, DEAD_TOPIC)) == 2
    assert [letter.redriven for letter in DeadLetterBox(log).letters(again=True)] == [True]


def test_letters_are_chosen_by_kind_topic_and_node(log: Log) -> None:
    bury(log, good("a"), key="a")
    bury(log, good("b"), key="b")
    bury(log, good("b"), "at is 5, 7200 s after the log took the record", key="b")
    bury(log, b"{}", key="a", topic=USAGE_TOPIC)
    assert Run(log, Choice(nodes=["b"], kinds=["version"])).met == {"0/1"}
    assert Run(log, Choice(kinds=["future", "other"])).met == {"0/2"}
    # What was passed over still waits, and is where the next run begins.
    assert waiting(log) == ["0/0", "0/3"]
    assert log.committed(GROUP) == {DEAD: 0}
    assert Run(log, Choice(topics=[USAGE_TOPIC])).counts == {"unreadable": 1}
    assert Run(log).met == {"0/0", "0/3"}
    assert [message.key for message in content(log, POWER_TOPIC)].count("b") == 2


def test_a_dry_run_writes_nothing(log: Log) -> None:
    bury(log, good("a"))
    bury(log, b"")
    assert Run(log, dry_run=True).counts == {"redriven": 1, "unreadable": 1}
    assert content(log, POWER_TOPIC) == []
    assert len(content(log, DEAD_TOPIC)) == 2
    assert log.committed(GROUP) == {}


def test_repaired_letters_go_back_under_the_node_of_the_record(log: Log) -> None:
    bury(log, b"\xff", "'utf-8' codec can't decode", key="?")
    bury(log, b"{}", "Object missing required field `v`")
    bury(log, b"{", "Input data was truncated")
    repaired = {"0/0": good("n9"), "0/1": b'{"v": 1}', "0/77": good("n9")}
    run = Run(log, repaired=repaired)
    assert run.met == {"0/0", "0/1"}
    assert run.counts == {"redriven": 1, "unreadable": 1}
    assert "missing required field" in run.stay["0/1"]
    (sent,) = content(log, POWER_TOPIC)
    assert (sent.key, sent.value) == ("n9", good("n9"))
    assert Run(log, repaired=repaired).met == {"0/1"}


def test_a_truncated_letter_stays_and_a_whole_one_for_it_goes(log: Log) -> None:
    bury(log, b" " * 1_000_000 + good("n1"))
    run = Run(log)
    assert run.counts == {"truncated": 1}
    assert run.stay["0/0"].startswith("it was truncated: 10000")
    assert Run(log, repaired={"0/0": good("n1")}).counts == {"redriven": 1}


def test_a_letter_from_the_future_waits_for_it(log: Log) -> None:
    bury(log, good("n1", int((NOW + 3601) * 1000)))
    bury(log, good("n1", int((NOW + 3599) * 1000)))
    run = Run(log)
    assert run.counts == {"redriven": 1, "unreadable": 1}
    assert "after the log took the record" in run.stay["0/0"]


def test_records_of_other_topics_stay_and_other_messages_are_passed_over(log: Log) -> None:
    bury(log, good("n1"), topic="elsewhere")
    log.append_many(
        DEAD_TOPIC, [Outgoing("", b"what?"), Outgoing("k", b"", (("receipt", b"\xff"),))]
    )
    run = Run(log)
    assert run.stay == {
        "0/0": "topic is 'elsewhere': only wattstream.usage and wattstream.power have records"
    }


def test_what_the_log_refuses_stays_and_stops_no_other() -> None:
    class Choosy(MemoryLog):
        def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
            large = [n for n, message in enumerate(messages) if message.key == "large"]
            super().append_many(topic, [m for m in messages if m.key != "large"])
            if large:
                raise RefusedError("1 of 3 refused: limit is 7", tuple(large))

    with Choosy() as log:
        topics(log)
        for node in ("a", "large", "b"):
            bury(log, good(node))
        run = Run(log)
        assert run.counts == {"redriven": 2, "refused": 1}
        assert run.stay == {"0/1": "1 of 3 refused: limit is 7"}
        assert waiting(log) == ["0/1"]
        assert log.committed(GROUP) == {DEAD: 1}


def test_a_letter_that_comes_meanwhile_is_not_passed_over(log: Log) -> None:
    bury(log, good("a"))
    box = DeadLetterBox(log)
    bury(log, good("b"))
    Redriver(log, box, clock=lambda: NOW, tell=lambda *_: None).run(Choice())
    assert log.committed(GROUP) == {DEAD: 1}
    assert waiting(log) == ["0/1"]


def test_many_letters_go_in_batches_and_in_order(log: Log) -> None:
    for number in range(450):
        bury(log, good("n1", number))
    assert Run(log).counts == {"redriven": 450}
    times = [json.loads(message.value)["at"] for message in content(log, POWER_TOPIC)]
    assert times == list(range(450))


def test_a_record_that_dies_again_is_a_letter_of_its_own(log: Log) -> None:
    bury(log, good("n1"), headers=(("trace", b"1"),))
    Run(log)
    (sent,) = content(log, POWER_TOPIC)
    DeadLetters(log).send(sent, "it smells")
    assert waiting(log) == ["0/2"]
    assert Run(log).counts == {"redriven": 1}
    assert content(log, POWER_TOPIC)[1].headers == (("trace", b"1"), ("redriven", b"0/2"))


def test_without_the_topic_there_are_no_letters() -> None:
    with MemoryLog() as log, pytest.raises(NotFoundError):
        DeadLetterBox(log)


class Failing(MemoryLog):
    """Fails when told, before or after it has written."""

    def __init__(self) -> None:
        super().__init__()
        self.fates: list[str] = []

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        fate = self.fates.pop() if self.fates else "taken"
        if fate != "before":
            super().append_many(topic, messages)
        if fate != "taken":
            raise LogUnavailableError("no acknowledgement")


@settings(deadline=None)
@given(
    letters=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12),
    runs=st.lists(
        st.tuples(
            st.sets(st.sampled_from("abc")),  # nodes; none: all
            st.lists(st.sampled_from(["taken", "before", "after"]), max_size=3),
            st.integers(0, 4),  # letters that come before it
        ),
        max_size=8,
    ),
)
def test_each_letter_goes_once_unless_the_log_failed_then_at_least_once(
    letters: list[tuple[str, bool]], runs: list[tuple[set[str], list[str], int]]
) -> None:
    log = Failing()
    topics(log)
    coming = iter(enumerate(letters))
    readable: set[int] = set()

    def come(count: int) -> None:
        for _, (at, (node, is_good)) in zip(range(count), coming, strict=False):
            bury(log, good(node, at) if is_good else b"{}", key=node)
            if is_good:
                readable.add(at)

    failed = False
    for nodes, fates, count in runs:
        come(count)
        log.fates = list(fates)
        with suppress(LogUnavailableError):
            Run(log, Choice(nodes=nodes))
        failed |= fates.count("taken") < len(fates)
        log.fates = []
        first = min((int(name[2:]) for name in waiting(log)), default=None)
        assert first is None or log.committed(GROUP).get(DEAD, 0) <= first
    come(len(letters))
    Run(log)
    sent = [json.loads(message.value)["at"] for message in content(log, POWER_TOPIC)]
    assert set(sent) == readable
    assert failed or len(sent) == len(readable)
    assert len(waiting(log)) == len(letters) - len(readable)


# Lines


def test_lines_say_what_the_letter_is_and_give_back_its_value(log: Log) -> None:
    bury(log, '{"v": 2, "node": "é"}'.encode(), headers=(("trace", b"1"),))
    bury(log, b"\xff\x00", "'utf-8' codec can't decode byte", key="k")
    Run(log, repaired={"0/1": good("n1")})
    lines = [letter_line(letter) for letter in DeadLetterBox(log).letters(again=True)]
    assert lines == [
        {
            "letter": "0/0",
            "kind": "version",
            "reason": "v is 2: this release reads version 1",
            "topic": POWER_TOPIC,
            "partition": 1,
            "offset": 7,
            "appended_ms": 5,
            "key": "n1",
            "value": '{"v": 2, "node": "é"}',
            "headers": {"trace": "1"},
        },
        {
            "letter": "0/1",
            "kind": "not-json",
            "reason": "'utf-8' codec can't decode byte",
            "topic": POWER_TOPIC,
            "partition": 1,
            "offset": 7,
            "appended_ms": 5,
            "key": "k",
            "value_base64": "/wA=",
            "redriven": True,
        },
    ]
    written = [json.dumps(line).encode() for line in lines]
    assert read_repaired(written, "here") == {
        "0/0": '{"v": 2, "node": "é"}'.encode(),
        "0/1": b"\xff\x00",
    }


def test_a_repaired_value_may_be_the_record_itself() -> None:
    lines = [b'{"letter": "0/3", "value": {"v": 1, "watts": {"platform": 0.1}}}\n', b"\n"]
    assert read_repaired(lines, "here") == {"0/3": b'{"v":1,"watts":{"platform":0.1}}'}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"value": "x"}', "missing required field `letter`"),
        (b'{"letter": "0/1"}', "value is missing"),
        (b'{"letter": "0/1", "value": 7}', "Expected `"),
        (b'{"letter": "0/1", "value_base64": "?"}', "value_base64"),
        (b'{"letter": "0/0", "value": ""}', "letter 0/0 is there twice"),
        (b"\xff", "line 2"),
        (b"[" * 100_000, "line 2"),
    ],
)
def test_a_line_that_is_wrong_is_named(line: bytes, said: str) -> None:
    with pytest.raises(MisuseError, match=said) as caught:
        read_repaired([b'{"letter": "0/0", "value": ""}', line], "here.jsonl")
    assert str(caught.value).startswith("here.jsonl, line 2: ")


# What a learner makes of it


def _samples(log: Log) -> tuple[int, int]:
    """How many samples a learner of all this has learned, and how many records were late."""
    parts = Parts(
        log=log,
        pool=pool(("ridge",)),
        checkpoints=Checkpoints(InMemoryStore(), "test"),
        publisher=None,
        dead_letter=lambda message, reason: None,
    )
    worker = Worker(parts, [0])
    worker.run_to_end()
    shard = worker.shards[0]
    return shard.learner.counts["samples"], shard.join.counts["late"]


def test_what_is_redriven_is_learned_unless_its_node_has_gone_on() -> None:
    records = list(fleet(nodes=2, steps=40))
    half = max(record.at for record in records) // 2 + min(record.at for record in records) // 2
    with MemoryLog() as whole:
        topics(whole)
        for record in records:
            append(whole, record)
        expected, late = _samples(whole)
        assert late == 0
    silent = records[0].node
    with MemoryLog(clock=lambda: NOW) as log:
        topics(log)
        for record in records:
            topic = topic_of(record)
            if record.node == silent or record.at < half:
                bury(log, encode(record), key=record.node, topic=topic)
            else:
                append(log, record)
        without, _ = _samples(log)
        buried = len(waiting(log))
        assert Run(log).counts == {"redriven": buried}
        learned, late = _samples(log)
    assert without < learned < expected
    assert late > 0
