from __future__ import annotations

from collections import Counter

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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give each test an id of its own: of several with one id, processes would run but one.

    schemathesis tells its tests, one for each operation, apart by their names, which pytest 9.2
    does not put into ids.
    """
    if not item.nodeid.endswith(item.name) and "[" in item.name:
        parent, _, _ = item.nodeid.rpartition("::")
        item._id = type(item.id).parse(f"{parent}::{item.name}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: no process is left alone with one at the end."""
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        raise pytest.UsageError(f"several tests are called {twice[0]}: but one would be run")
    first = {item.path for item in items if item.get_closest_marker("timeout")}
    second = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: 0 if item.path in first else 1 if item.path in second else 2)
