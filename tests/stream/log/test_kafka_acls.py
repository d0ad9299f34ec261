"""Each service works with exactly what it is said to need at Kafka, and not with less.

What the services do with the log is done here step by step; as commands they are in
``tests/server/commands/test_secured.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final

import pytest

from estimator.errors import LogUnavailableError
from stream.letters.dead_letter_box import GROUP as REDRIVE_GROUP
from stream.log.kafka import KafkaLog
from stream.log.kafka_security import KafkaSecurity
from stream.log.protocol import Outgoing, TopicPartition, TopicSpec
from stream.records import DEAD_TOPIC, GROUP, POWER_TOPIC, USAGE_TOPIC
from tests.kafka.acls import CONFIGS, CREATOR, SERVICES, Need
from tests.kafka.secured import PASSWORD, SecuredBroker
from tests.stream.log.test_kafka_membership import SESSION_SECONDS

pytestmark = pytest.mark.slow

TOPICS: Final = [TopicSpec(name, 1) for name in (USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC)]
BOTH: Final = (USAGE_TOPIC, POWER_TOPIC)
MESSAGE: Final = [Outgoing("node", b"{}")]


def collect(log: KafkaLog) -> None:
    log.create_topics(TOPICS)
    for topic in BOTH:
        log.append_many(topic, MESSAGE)


def learn(log: KafkaLog) -> None:
    log.create_topics(TOPICS)
    read(log)
    log.append_many(DEAD_TOPIC, MESSAGE)
    with closing(log.join(GROUP, BOTH, "the-learner", SESSION_SECONDS)) as membership:
        while not membership.poll(1.0, lambda: None).partitions:
            pass
        membership.commit({TopicPartition(topic, 0): 1 for topic in BOTH})


def look(log: KafkaLog) -> None:
    for group in (GROUP, REDRIVE_GROUP):
        log.committed(group)
    for topic in log.topics():
        log.begin_offsets(topic)
        log.end_offsets(topic)
        if topic == DEAD_TOPIC:
            read(log, (DEAD_TOPIC,))


def redrive(log: KafkaLog) -> None:
    log.committed(REDRIVE_GROUP)
    read(log, (DEAD_TOPIC,))
    for topic in (*BOTH, DEAD_TOPIC):
        log.append_many(topic, MESSAGE)
    log.commit(REDRIVE_GROUP, {TopicPartition(DEAD_TOPIC, 0): 1})


def replay(log: KafkaLog) -> None:
    for topic in BOTH:
        log.offsets_for_time(topic, 0)
    read(log)


def read(log: KafkaLog, topics: Sequence[str] = BOTH) -> None:
    with closing(log.reader({TopicPartition(topic, 0): 0 for topic in topics})) as reader:
        found: set[str] = set()
        while found < set(topics):
            found |= {message.topic for message in reader.poll(10, 1.0)}


WORK: Final[Mapping[str, Callable[[KafkaLog], None]]] = {
    "collector": collect,
    "learner": learn,
    "topics": look,
    "topics redrive": redrive,
    "replay": replay,
}
FEWER: Final = [
    pytest.param(service, missing, id=f"{service}-{missing.operation}-{missing.name}")
    for service, needs in SERVICES.items()
    for missing in needs
]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def broker(secured_kafka: SecuredBroker) -> SecuredBroker:
    """With the topics, and something in each."""
    with KafkaLog(secured_kafka.url) as log:
        log.create_topics(TOPICS)
        for spec in TOPICS:
            log.append_many(spec.name, MESSAGE)
    return secured_kafka


@pytest.fixture
def log_of(broker: SecuredBroker) -> Iterator[Callable[[Sequence[Need]], KafkaLog]]:
    """Opens the log as a new user who is allowed exactly so much."""
    opened: list[KafkaLog] = []

    def open_as(needs: Sequence[Need]) -> KafkaLog:
        user = f"user-{next(_numbers)}"
        broker.add_user(user, needs)
        security = KafkaSecurity(
            security_protocol="SASL_SSL",
            username=user,
            password=PASSWORD,
            ca_file=str(broker.authority.path),
        )
        opened.append(KafkaLog(broker.url_of("SCRAM"), options=security.options))
        return opened[-1]

    yield open_as
    for log in opened:
        log.close()


OpenAs = Callable[[Sequence[Need]], KafkaLog]


def test_every_service_has_its_work_here() -> None:
    assert set(WORK) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_documented_is_enough(log_of: OpenAs, service: str) -> None:
    WORK[service](log_of(SERVICES[service]))


@pytest.mark.parametrize(("service", "missing"), FEWER)
def test_with_one_permission_fewer_it_says_which(
    log_of: OpenAs, service: str, missing: Need
) -> None:
    log = log_of([need for need in SERVICES[service] if need != missing])
    if service == "topics" and missing.kind == "Topic":
        look(log)
        assert set(log.topics()) == {spec.name for spec in TOPICS} - {missing.name}
        return
    with pytest.raises(LogUnavailableError, match="an ACL is missing") as caught:
        WORK[service](log)
    assert missing.name in str(caught.value)
    assert "user-" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_makes_the_topics_must_be_allowed_to(
    log_of: OpenAs,
) -> None:
    needs = [need._replace(name=f"new.{need.name}") for need in CREATOR]
    specs = [TopicSpec(need.name, 2) for need in needs]
    with pytest.raises(LogUnavailableError, match="an ACL is missing"):
        log_of([]).create_topics(specs)
    # To see them it needs what every service has beside it.
    describe = [need._replace(operation="Describe") for need in needs]
    log = log_of([*needs, *describe])
    log.create_topics(specs)
    assert log.partitions(specs[0].name) == 2


def test_who_may_not_see_a_topics_settings_is_held_to_the_least_limit(log_of: OpenAs) -> None:
    large = [Outgoing("node", bytes(2 * 1024 * 1024))]
    needs = SERVICES["collector"]
    log_of([*needs, *CONFIGS]).append_many(USAGE_TOPIC, large)
    with pytest.raises(Exception, match="limit is 1048588"):
        log_of(needs).append_many(USAGE_TOPIC, large)
