from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import MisuseError
from stream.replaying.when import format_time, parse_time

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-14", "2023-11-14T00:00:00Z"),
        ("2023-11-14T22:13", "2023-11-14T22:13:00Z"),
        ("2023-11-14 22:13:20.25", "2023-11-14T22:13:20.250Z"),
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
        ("2023-11-14T22:13:20+05:30", "2023-11-14T16:43:20Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000000.5", "2023-11-14T22:13:20.500Z"),
        ("now", "2023-11-14T22:13:20Z"),
        ("-7d", "2023-11-07T22:13:20Z"),
        ("- 1h30m", "2023-11-14T20:43:20Z"),
        ("2h ago", "2023-11-14T20:13:20Z"),
        ("1.5 H Ago", "2023-11-14T20:43:20Z"),
        (" -1w ", "2023-11-07T22:13:20Z"),
    ],
)
def test_times_in_every_form(text: str, expected: str) -> None:
    assert format_time(parse_time(text, NOW)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "-7", "7d", "-7y", "-d", "ago", "2023-13-01", "20231114", "1700000000000"],
)
def test_what_is_no_time_is_named_with_what_would_be(text: str) -> None:
    with pytest.raises(MisuseError, match=f"time is '{text}'.*2026-11-01"):
        parse_time(text, NOW)


@pytest.mark.parametrize("text", ["1969-12-31", "-100w", "0001-01-01"])
def test_times_before_1970_are_refused(text: str) -> None:
    with pytest.raises(MisuseError, match="before 1970"):
        parse_time(text, 1000.0)


@given(st.integers(1_000_000_000_000, 4_000_000_000_000))
def test_what_is_shown_can_be_said_again(ms: int) -> None:
    assert parse_time(format_time(ms), NOW) == ms
