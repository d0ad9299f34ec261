from __future__ import annotations

import logging

import pytest

from server.monitoring.last_status import LastStatus
from server.monitoring.status import Status
from tests.server.fakes import STATUS


class Provider:
    def __init__(self) -> None:
        self.asked = 0
        self.failure: Exception | None = None

    def status(self) -> Status:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return STATUS


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_provider_is_asked_once_in_the_kept_time() -> None:
    provider, clock = Provider(), Clock()
    last = LastStatus(provider, kept_seconds=0.5, clock=clock)
    for now, asked in ((100.0, 1), (100.4, 1), (100.5, 2), (100.9, 2), (200.0, 3)):
        clock.now = now
        assert last.status() == STATUS
        assert provider.asked == asked


def test_a_failing_provider_leaves_its_last_status_and_says_what_is_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider = Provider()
    last = LastStatus(provider, kept_seconds=0)
    last.status()
    provider.failure = OSError("log.sqlite is locked")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            failing = last.status()
    assert failing.sources == STATUS.sources
    assert failing.missing == ("the parts' status is not known: OSError: log.sqlite is locked",)
    assert len(caplog.records) == 1
    provider.failure = None
    assert last.status() == STATUS
