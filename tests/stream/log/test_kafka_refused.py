"""Brokers that want to know who is there, and we them: a real one, with TLS, SCRAM and PLAIN."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from estimator.errors import LogUnavailableError, MisuseError, WattstreamError
from stream.log.kafka import KafkaLog
from stream.log.kafka_security import KafkaSecurity
from stream.log.protocol import TopicPartition, TopicSpec
from tests.kafka.acls import Need
from tests.kafka.certificates import Authority
from tests.kafka.fixtures import LEFT_SOCKETS
from tests.kafka.secured import PASSWORD, USER, SecuredBroker
from tests.server.commands.processes import eventually
from tests.stream.log.contract import numbered, read_topic, values
from tests.stream.log.test_kafka_outages import poll_until

pytestmark = [pytest.mark.slow, *LEFT_SOCKETS]

ONE = TopicPartition("t", 0)


def by_password(broker: SecuredBroker, **other: str) -> KafkaSecurity:
    """How the broker's user comes in, but for what is said otherwise."""
    settings = {
        "security_protocol": "SASL_SSL",
        "username": USER,
        "password": PASSWORD,
        "ca_file": str(broker.authority.path),
        **other,
    }
    return KafkaSecurity(**settings)


def by_name_alone() -> KafkaSecurity:
    return KafkaSecurity(security_protocol="SASL_PLAINTEXT", username=USER, password=PASSWORD)


def by_certificate(broker: SecuredBroker, **other: str) -> KafkaSecurity:
    settings = {
        "security_protocol": "SSL",
        "ca_file": str(broker.authority.path),
        "cert_file": str(broker.client.certificate),
        "key_file": str(broker.client.key),
        **other,
    }
    return KafkaSecurity(**settings)


def log_of(url: str, security: KafkaSecurity, timeout_seconds: float = 20.0) -> KafkaLog:
    security.check()
    return KafkaLog(url, timeout_seconds=timeout_seconds, options=security.options)


def refused(broker: SecuredBroker, listener: str, security: KafkaSecurity) -> WattstreamError:
    """What is said of an attempt that must fail."""
    with (
        log_of(broker.url_of(listener), security, timeout_seconds=1.5) as log,
        pytest.raises(WattstreamError) as caught,
    ):
        log.topics()
    said = str(caught.value)
    assert said.startswith(f"log {broker.url_of(listener)}: ")
    assert "\n" not in said
    assert PASSWORD not in said
    return caught.value


def assert_works(log: KafkaLog, topic: str) -> None:
    log.create_topics([TopicSpec(topic, 1)])
    log.append_many(topic, numbered("a", 3))
    assert values(read_topic(log, topic, 3)) == [0, 1, 2]
    log.commit("g", {TopicPartition(topic, 0): 3})
    assert log.committed("g")[TopicPartition(topic, 0)] == 3


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_all_of_the_log_works_by_password_over_tls(
    secured_kafka: SecuredBroker, mechanism: str
) -> None:
    security = by_password(secured_kafka, sasl_mechanism=mechanism)
    with log_of(secured_kafka.url_of("SCRAM"), security) as log:
        assert_works(log, f"by-password-{mechanism or 'default'}")


def test_all_of_the_log_works_by_certificate(secured_kafka: SecuredBroker) -> None:
    with log_of(secured_kafka.url_of("CERTIFICATE"), by_certificate(secured_kafka)) as log:
        assert_works(log, "by-certificate")


def test_all_of_the_log_works_by_password_alone(secured_kafka: SecuredBroker) -> None:
    security = by_name_alone()
    with log_of(secured_kafka.url_of("CLEAR"), security) as log:
        assert_works(log, "by-password-alone")


# Not the same language: what we see is a broker that hangs up, as one does that is stopping


@pytest.mark.parametrize("listener", ["SCRAM", "CLEAR", "CERTIFICATE"])
def test_a_broker_that_demands_what_we_do_not_offer(
    secured_kafka: SecuredBroker, listener: str
) -> None:
    error = refused(secured_kafka, listener, KafkaSecurity())
    assert isinstance(error, LogUnavailableError)
    assert "does this port speak PLAINTEXT (kafka_security_protocol)?" in str(error)


@pytest.mark.parametrize(
    ("listener", "protocol"), [("PLAINTEXT", "SASL_SSL"), ("CLEAR", "SASL_SSL")]
)
def test_a_broker_that_speaks_no_tls(
    secured_kafka: SecuredBroker, listener: str, protocol: str
) -> None:
    error = refused(secured_kafka, listener, by_password(secured_kafka))
    assert isinstance(error, LogUnavailableError)
    assert f"does this port speak {protocol} (kafka_security_protocol)?" in str(error)


def test_a_broker_that_demands_a_name_of_a_client_that_has_none(
    secured_kafka: SecuredBroker,
) -> None:
    error = refused(secured_kafka, "SCRAM", by_certificate(secured_kafka))
    assert isinstance(error, LogUnavailableError)
    assert "does this port speak SSL (kafka_security_protocol)?" in str(error)


# What no waiting mends


def test_a_broker_that_asks_for_no_name(secured_kafka: SecuredBroker) -> None:
    security = by_name_alone()
    error = refused(secured_kafka, "PLAINTEXT", security)
    assert isinstance(error, MisuseError)
    assert "kafka_security_protocol is SASL_PLAINTEXT, use PLAINTEXT" in str(error)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("wrong", [{"password": "x"}, {"username": "nobody"}])
def test_a_wrong_name_or_password(
    secured_kafka: SecuredBroker, mechanism: str, wrong: dict[str, str]
) -> None:
    security = by_password(secured_kafka, sasl_mechanism=mechanism, **wrong)
    error = refused(secured_kafka, "SCRAM", security)
    assert isinstance(error, MisuseError)
    assert f"refuses kafka_username {security.username!r} with its password" in str(error)
    assert f"(kafka_sasl_mechanism {mechanism})" in str(error)


def test_a_mechanism_that_the_broker_does_not_offer(secured_kafka: SecuredBroker) -> None:
    error = refused(
        secured_kafka, "STRICT", by_password(secured_kafka, sasl_mechanism="SCRAM-SHA-256")
    )
    assert isinstance(error, MisuseError)
    assert "the broker does not offer kafka_sasl_mechanism SCRAM-SHA-256" in str(error)


def test_a_certificate_that_nobody_we_trust_vouches_for(
    secured_kafka: SecuredBroker, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other").path
    for path, said in ((str(other), f"{other}"), ("", "(empty, so the system's)")):
        error = refused(secured_kafka, "SCRAM", by_password(secured_kafka, ca_file=path))
        assert isinstance(error, MisuseError)
        assert f"nobody in kafka_ca_file {said} vouches for the broker's" in str(error)


def test_a_certificate_for_another_host(secured_kafka: SecuredBroker) -> None:
    error = refused(secured_kafka, "ELSEWHERE", by_password(secured_kafka))
    assert isinstance(error, MisuseError)
    assert "is for another host" in str(error)
    assert "'localhost'" in str(error)


def test_a_certificate_that_has_expired(secured_kafka: SecuredBroker) -> None:
    error = refused(secured_kafka, "EXPIRED", by_password(secured_kafka))
    assert isinstance(error, MisuseError)
    assert "the broker's certificate is out of date: certificate has expired" in str(error)


def test_a_broker_that_demands_a_certificate_of_us(
    secured_kafka: SecuredBroker, tmp_path: Path
) -> None:
    error = refused(
        secured_kafka, "CERTIFICATE", by_certificate(secured_kafka, cert_file="", key_file="")
    )
    assert isinstance(error, MisuseError)
    assert "demands a certificate: set kafka_cert_file and kafka_key_file" in str(error)
    foreign = Authority(tmp_path, "other").issue("client")
    error = refused(
        secured_kafka,
        "CERTIFICATE",
        by_certificate(
            secured_kafka, cert_file=str(foreign.certificate), key_file=str(foreign.key)
        ),
    )
    assert isinstance(error, MisuseError)
    assert f"the broker does not accept kafka_cert_file {foreign.certificate}" in str(error)


# What changes under us


def test_a_password_that_is_changed_is_taken_from_its_file_without_a_restart(
    own_secured_kafka: SecuredBroker, tmp_path: Path
) -> None:
    broker, file = own_secured_kafka, tmp_path / "password"
    file.write_text("first\n")
    broker.add_user("roller", [Need("All", "Topic", "t", ""), Need("Read", "Group", "g", "")])
    broker.set_password("roller", "first")
    security = by_password(broker, username="roller", password="", password_file=str(file))
    with log_of(broker.url_of("SCRAM"), security, timeout_seconds=3.0) as log:
        log.create_topics([TopicSpec("t", 1)])
        log.append_many("t", numbered("a", 10))
        with (
            closing(log.reader({ONE: 0})) as reader,
            closing(log.join("g", ["t"], "me", 30.0)) as membership,
        ):
            found = poll_until(reader, 9)
            given_up: list[int] = []
            give_up = partial(given_up.append, 1)
            eventually(lambda: membership.poll(1.0, give_up).partitions == (0,))
            broker.set_password("roller", "second")
            broker.kill()
            broker.start()
            with pytest.raises(LogUnavailableError, match="refuses kafka_username 'roller'"):
                log.topics()
            with pytest.raises(LogUnavailableError):
                log.append_many("t", numbered("a", 10, 10))
            file.write_text("second\n")
            deadline = time.monotonic() + 60
            while True:
                try:
                    log.append_many("t", numbered("a", 10, 10))
                    break
                except LogUnavailableError:
                    assert time.monotonic() < deadline
            found += poll_until(reader, 19)
            assert given_up == []
            eventually(lambda: membership.poll(1.0, give_up).partitions == (0,) and bool(given_up))
            assert given_up == [1]
            membership.commit({ONE: 20})
        assert list(dict.fromkeys(values(found))) == list(range(20))
        file.unlink()  # a secret that is just being replaced
        broker.kill()
        with pytest.raises(LogUnavailableError, match=r"kafka_password_file .*: No such file"):
            log.topics()
