from __future__ import annotations

import pytest

from tests.kafka.fixtures import (
    collected_sockets,
    kafka,
    kafka_cluster,
    own_kafka,
    own_secured_kafka,
    secured_kafka,
)

__all__ = [
    "collected_sockets",
    "kafka",
    "kafka_cluster",
    "own_kafka",
    "own_secured_kafka",
    "secured_kafka",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: no process is left alone with one at the end."""
    first = {item.path for item in items if item.get_closest_marker("timeout")}
    second = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: 0 if item.path in first else 1 if item.path in second else 2)
