from __future__ import annotations

import pytest

from stream.joining.rivals import Rivals
from stream.log.protocol import Message
from stream.records import PowerRecord, UsageRecord
from tests.stream.builders import START_MS, gauge, usage, zones


def notice(rivals: Rivals, second: float, who: str, record: UsageRecord | PowerRecord) -> None:
    headers = (("collector", who.encode()),) if who else ()
    at = START_MS + round(1000 * second)
    rivals.notice(Message("t", 0, 0, at, record.node, b"", headers), record)


@pytest.mark.parametrize("record", [usage(START_MS, x=1), gauge(START_MS, package=1)])
def test_two_collectors_of_one_node_are_said_once(
    record: UsageRecord | PowerRecord, caplog: pytest.LogCaptureFixture
) -> None:
    rivals = Rivals()
    for second in range(9):
        notice(rivals, second, ("h1/7 proc", "h2/9 proc")[second % 2], record)
    (said,) = [one.getMessage() for one in caplog.records]
    assert said.startswith("node 'a': ")
    assert "from two collectors, h1/7 proc and h2/9 proc: stop one, or give" in said


def test_who_takes_anothers_place_is_no_rival(caplog: pytest.LogCaptureFixture) -> None:
    rivals = Rivals()
    for second, who in enumerate(["one", "one", "two", "two", "three", "three"]):
        notice(rivals, second, who, usage(START_MS, x=1))
    notice(rivals, 200, "four", usage(START_MS, x=1))
    notice(rivals, 300, "three", usage(START_MS, x=1))  # much later: it has taken over again
    assert caplog.text == ""


def test_who_brings_something_else_is_no_rival(caplog: pytest.LogCaptureFixture) -> None:
    rivals = Rivals()
    for second in range(4):
        notice(rivals, second, "one", usage(START_MS, x=1))
        notice(rivals, second, "two", gauge(START_MS, package=1))
        notice(rivals, second, "three", gauge(START_MS, source="redfish", platform=1))
        notice(rivals, second, "four", usage(START_MS, node="b", x=1))
    assert caplog.text == ""


def test_records_that_do_not_say_are_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    rivals = Rivals()
    for second, who in enumerate(["one", "", "one", "", "one"]):
        notice(rivals, second, who, usage(START_MS, x=1))
    assert caplog.text == ""


def test_a_guest_on_two_hosts_at_once_is_said(caplog: pytest.LogCaptureFixture) -> None:
    rivals = Rivals()
    for second in range(4):
        record = zones(START_MS, {"package": 1}, node="vm", source="hypervisor")
        notice(rivals, second, ("h1 kepler", "h2 kepler")[second % 2], record)
    (said,) = [one.getMessage() for one in caplog.records]
    assert "guest 'vm': its power comes from two hosts at once, as h1 kepler and h2 kepler" in said
