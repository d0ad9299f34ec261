"""Sockets that kafka-python leaves behind when a connection fails, given back between tests."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def collected() -> Iterator[None]:
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
