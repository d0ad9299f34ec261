"""Commands against a broker that wants to know who is there, each as a user of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from estimator.settings import SECRETS
from stream.log.kafka import KafkaLog
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC
from tests.kafka.acls import SERVICES
from tests.kafka.fixtures import LEFT_SOCKETS
from tests.kafka.secured import PASSWORD, USER, SecuredBroker
from tests.server.commands.inside import Run
from tests.server.commands.traces import write_trace
from tests.stream.log.test_kafka_acls import TOPICS

pytestmark = [pytest.mark.slow, *LEFT_SOCKETS]

As = Callable[[str], None]


@pytest.fixture
def logged_in(
    secured_kafka: SecuredBroker, wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> As:
    """Sets the environment so that commands come as that user."""
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    settings = {
        "LOG": secured_kafka.url_of("SCRAM"),
        "PARTITIONS": "1",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_PASSWORD_FILE": str(password),
        "KAFKA_CA_FILE": str(secured_kafka.authority.path),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"WATTSTREAM_{name}", value)
    with KafkaLog(secured_kafka.url) as log:
        log.create_topics(TOPICS)

    def as_user(user: str) -> None:
        monkeypatch.setenv("WATTSTREAM_KAFKA_USERNAME", user)

    return as_user


def test_each_command_works_with_what_its_service_is_allowed(
    secured_kafka: SecuredBroker, logged_in: As, wattstream: Run, tmp_path: Path
) -> None:
    for service in ("collector", "learner", "topics"):
        secured_kafka.add_user(f"the-{service}", SERVICES[service])
    write_trace(tmp_path / "trace.csv")
    logged_in("the-collector")
    found = wattstream("collect", "--source", "trace.csv", "--node", "n7")
    assert found.status == 0, found.err
    logged_in("the-learner")
    found = wattstream("learn", "--once")
    assert found.status == 0, found.err
    assert " 120 samples" in found.err
    logged_in("the-topics")
    found = wattstream("topics", "--json")
    assert found.status == 0, found.err
    rows = {row["topic"]: row for row in json.loads(found.out)}
    assert set(rows) == {USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC}
    assert rows[USAGE_TOPIC]["lag"] == rows[POWER_TOPIC]["lag"] == 0


def test_a_user_who_is_allowed_nothing_is_told_what_is_missing(
    secured_kafka: SecuredBroker, logged_in: As, wattstream: Run
) -> None:
    secured_kafka.add_user("the-stranger", [])
    logged_in("the-stranger")
    found = wattstream("topics")
    assert found.status == 1
    assert "forbids that to the-stranger, an ACL is missing" in found.complaint


def test_a_wrong_password_is_misuse_and_not_shown(
    logged_in: As, wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(USER)
    monkeypatch.delenv("WATTSTREAM_KAFKA_PASSWORD_FILE")
    monkeypatch.setenv("WATTSTREAM_KAFKA_PASSWORD", "a wrong one")
    found = wattstream("topics")
    assert found.status == 2
    assert f"the broker refuses kafka_username '{USER}' with its password" in found.complaint
    assert "a wrong one" not in found.complaint


def test_at_no_level_does_the_log_tell_a_password(
    logged_in: As, wattstream: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(USER)
    monkeypatch.delenv("WATTSTREAM_KAFKA_PASSWORD_FILE")
    monkeypatch.setenv("WATTSTREAM_KAFKA_PASSWORD", PASSWORD)
    found = wattstream("topics", "--log-level", "debug")
    assert found.status == 0
    assert PASSWORD not in found.out + found.err


@pytest.mark.parametrize("command", ["up", "collect", "learn", "topics"])
def test_secrets_have_no_flag(wattstream: Run, command: str) -> None:
    helped = wattstream(command, "--help").out
    assert "--kafka-password-file" in helped
    for name in SECRETS:
        flag = f"--{name.replace('_', '-')}"
        assert f"{flag} " not in helped
        assert wattstream(command, flag, "x").status == 2
