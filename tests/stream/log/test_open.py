from __future__ import annotations

from pathlib import Path

import pytest

from estimator.errors import MisuseError
from stream.log.kafka import KafkaLog
from stream.log.memory import MemoryLog
from stream.log.open import KNOWN, open_log
from stream.log.sqlite import SqliteLog


def test_memory() -> None:
    with open_log("memory:") as log:
        assert isinstance(log, MemoryLog)


def test_absolute_path(tmp_path: Path) -> None:
    with open_log(f"sqlite://{tmp_path}/new/log.db") as log:
        assert isinstance(log, SqliteLog)
    assert (tmp_path / "new" / "log.db").is_file()


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_log("sqlite:data/log.db"):
        assert (tmp_path / "data" / "log.db").is_file()


def test_kafka_is_not_connected_to_before_it_is_needed() -> None:
    with open_log("kafka://one.invalid:9092,two.invalid") as log:
        assert isinstance(log, KafkaLog)


def test_a_wrong_kafka_address_is_misuse() -> None:
    with pytest.raises(MisuseError, match="log 'kafka://one:x': use kafka://host:port"):
        open_log("kafka://one:x")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "memory:x",
        "sqlite",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/log.db",
        "sqlite:folder/",
        "kafka:",
        "kafka:broker",
        "mysql://host/log",
        "/var/lib/log.db",
    ],
)
def test_anything_else_is_misuse(url: str) -> None:
    with pytest.raises(MisuseError) as caught:
        open_log(url)
    assert repr(url) in str(caught.value)
    assert all(known in str(caught.value) for known in KNOWN)
