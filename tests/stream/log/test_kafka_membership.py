"""Members of a real consumer group: who has what, who comes back, who is shut out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import MemberToRemove

from estimator.errors import FencedError, LogUnavailableError, WattstreamError
from stream.log import kafka_membership
from stream.log.kafka import KafkaLog
from stream.log.protocol import Assignment, Membership, TopicPartition
from tests.kafka.broker import Broker
from tests.server.commands.processes import eventually
from tests.stream.log.contract import new_topic

SESSION_SECONDS = 2.0
"""Short, so that tests need not wait; the test brokers allow it."""
PATIENCE_SECONDS = 90.0


class Member:
    """A member that polls by itself, as a learner does, in a thread of its own."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.assignment = Assignment(0, (), 0)
        self.given_up: list[tuple[int, ...]] = []
        self.error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def has(self) -> tuple[int, ...]:
        return self.assignment.partitions

    def stop(self) -> None:
        """Poll no more, as if hung; the place in the group is not given back."""
        self._ended.set()
        self._thread.join(PATIENCE_SECONDS)

    def close(self) -> None:
        self.stop()
        self.membership.close()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            try:
                self.assignment = self.membership.poll(0.2, self._give_up)
            except LogUnavailableError:
                continue  # as a learner does
            except Exception as error:  # noqa: BLE001 - for the test to see
                self.error = error
                return

    def _give_up(self) -> None:
        self.given_up.append(self.has)


Join = Callable[[str], Member]


@pytest.fixture
def log(kafka: Broker) -> Iterator[KafkaLog]:
    with KafkaLog(kafka.url) as log:
        yield log


@pytest.fixture
def topics(log: KafkaLog) -> list[str]:
    return [new_topic(log, 4), new_topic(log, 4)]


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex}"


@pytest.fixture
def join(log: KafkaLog, topics: list[str], group: str) -> Iterator[Join]:
    """Makes members of one group."""
    with ExitStack() as stack:

        def make(name: str) -> Member:
            member = Member(log.join(group, topics, name, SESSION_SECONDS))
            stack.callback(member.close)
            return member

        yield make


def settled(member: Member, seconds: float = 1.0) -> int:
    """The assignment's number, once it stays: a new group may assign once more what it has."""
    while True:
        number = member.assignment.number
        time.sleep(seconds)
        if member.assignment.number == number:
            return number


def test_members_share_and_what_moves_is_given_up_first(join: Join) -> None:
    one = join("one")
    eventually(lambda: one.has == (0, 1, 2, 3))
    two = join("two")
    eventually(lambda: (one.has, two.has) == ((0, 1), (2, 3)))
    assert (0, 1, 2, 3) in one.given_up
    assert not one.assignment.is_all
    three = join("a third")
    eventually(lambda: sorted(len(member.has) for member in (one, two, three)) == [1, 1, 2])
    assert sorted((*one.has, *two.has, *three.has)) == [0, 1, 2, 3]


def test_who_comes_back_under_its_name_finds_what_it_had_and_nobody_else_notices(
    join: Join,
) -> None:
    one, two = join("one"), join("two")
    eventually(lambda: (one.has, two.has) == ((0, 1), (2, 3)))
    number = settled(one)
    two.close()
    again = join("two")
    eventually(lambda: again.has == (2, 3))
    assert (one.has, one.assignment.number) == ((0, 1), number)


def test_who_stays_away_loses_what_it_had(join: Join) -> None:
    one, two = join("one"), join("two")
    eventually(lambda: (one.has, two.has) == ((0, 1), (2, 3)))
    two.close()
    eventually(lambda: one.has == (0, 1, 2, 3))


def test_a_step_that_takes_longer_than_a_session_loses_nothing(
    join: Join, topics: list[str]
) -> None:
    one, two = join("one"), join("two")
    eventually(lambda: (one.has, two.has) == ((0, 1), (2, 3)))
    one.stop()  # it learns, and has no time to poll; heartbeats go on
    time.sleep(2 * SESSION_SECONDS)
    one.membership.commit({TopicPartition(topics[0], 0): 3})
    assert two.has == (2, 3)


def test_who_is_started_under_a_name_in_use_shuts_the_older_out(
    join: Join, topics: list[str]
) -> None:
    older = join("me")
    eventually(lambda: older.has == (0, 1, 2, 3))
    newer = join("me")
    eventually(lambda: newer.has == (0, 1, 2, 3))
    where = TopicPartition(topics[0], 1)
    newer.membership.commit({where: 7})
    older.stop()
    with pytest.raises(WattstreamError, match=r"another learner has come under the name 'me'"):
        older.membership.commit({where: 3})


def test_offsets_are_committed_by_those_who_are_members_now(
    join: Join, kafka: Broker, log: KafkaLog, topics: list[str], group: str
) -> None:
    where = TopicPartition(topics[0], 0)
    outsider = log.join(group, topics, "outsider", SESSION_SECONDS)
    with pytest.raises(FencedError, match="'outsider' is no member"):
        outsider.commit({where: 1})
    one = join("one")
    eventually(lambda: one.has == (0, 1, 2, 3))
    one.membership.commit({where: 5})
    assert log.committed(group) == {where: 5}
    one.stop()
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        admin.remove_group_members(group, [MemberToRemove(group_instance_id="one")])
    with pytest.raises(FencedError, match=group):
        one.membership.commit({where: 6})
    assert log.committed(group) == {where: 5}


def test_a_member_whose_client_forgets_to_join_joins_anew(
    monkeypatch: pytest.MonkeyPatch, join: Join
) -> None:
    monkeypatch.setattr(kafka_membership, "_PATIENCE_SECONDS", 2.0)
    forgetful: list[object] = []

    class Forgetful(KafkaConsumer):  # type: ignore[misc]  # it has no types
        """Joins nothing, if it is the first."""

        def poll(self, *words: int) -> object:
            if not forgetful:
                forgetful.append(self)
            return {} if self in forgetful else super().poll(*words)

    monkeypatch.setattr(kafka_membership, "KafkaConsumer", Forgetful)
    one = join("one")
    eventually(lambda: one.has == (0, 1, 2, 3))
    assert len(forgetful) == 1


def test_what_fails_while_giving_up_is_raised_as_it_is(join: Join) -> None:
    one = join("one")
    eventually(lambda: one.has == (0, 1, 2, 3))
    settled(one)
    one.stop()
    membership = one.membership

    def fail() -> None:
        raise ZeroDivisionError("a fault")

    join("two")

    def fails() -> bool:
        try:
            membership.poll(0.2, fail)
        except ZeroDivisionError:
            return True
        return False

    eventually(fails)


def test_a_membership_that_was_closed_can_be_closed_again(
    log: KafkaLog, topics: list[str], group: str
) -> None:
    membership = log.join(group, topics, "one", SESSION_SECONDS)
    membership.close()
    membership.close()
