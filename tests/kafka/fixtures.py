"""Brokers for tests, started when the first test wants one. ``tests/conftest.py`` shows them."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kafka import jars
from tests.kafka.broker import Broker, Cluster, free_ports
from tests.kafka.secured import SecuredBroker

LEFT_SOCKETS = [
    pytest.mark.usefixtures("collected_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
"""For tests whose broker dies: kafka-python leaves the sockets of attempts that failed to the
garbage collector."""


@pytest.fixture
def collected_sockets() -> Iterator[None]:
    """Sockets that were left to the collector are gone before warnings are errors again."""

    def ours(record: logging.LogRecord) -> bool:
        return not record.name.startswith("kafka")

    # Records that pytest keeps hold errors, which hold frames, which hold the client's sockets.
    keeping = list(logging.getLogger().handlers)
    for handler in keeping:
        handler.addFilter(ours)
    yield
    for handler in keeping:
        handler.removeFilter(ours)
    gc.collect()


def need_kafka() -> None:
    """Skip the test where Kafka cannot run at all; on CI that is a failure."""
    try:
        jars.java()
        jars.libs()
    except jars.MissingToolError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs Kafka: {error}")
        pytest.skip(f"needs Kafka: {error}")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the whole session; no test may stop it, and topics' names must be new."""
    need_kafka()
    with Broker(tmp_path_factory.mktemp("kafka"), *free_ports(2)) as broker:
        yield broker


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """One broker for the whole session that wants to know who is there; no test may stop it."""
    need_kafka()
    with SecuredBroker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture
def own_secured_kafka(tmp_path: Path) -> Iterator[SecuredBroker]:
    """One of the test's own, which it may kill and start again."""
    need_kafka()
    with SecuredBroker(tmp_path / "secured") as broker:
        yield broker


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, which it may kill, freeze and start again."""
    need_kafka()
    with Broker(tmp_path / "kafka", *free_ports(2)) as broker:
        yield broker


@pytest.fixture
def kafka_cluster(tmp_path: Path) -> Iterator[Callable[[int], Cluster]]:
    """Starts a cluster of so many brokers, each of which the test may kill."""
    need_kafka()
    with ExitStack() as stack:

        def start(count: int) -> Cluster:
            folder = tmp_path / "cluster"
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            return stack.enter_context(Cluster(folder, count))

        yield start
