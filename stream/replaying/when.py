"""Times as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from estimator.errors import MisuseError

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(?:-\s*(?P<minus>[^-]+?)|(?P<plain>[^-]+?)\s+ago)", re.IGNORECASE)
_PARTS: Final = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*[smhdw])+\s*", re.IGNORECASE)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_FIRST_UNIX, _LAST_UNIX = 1e9, 1e11
"""2001 to 5138: other numbers are dates without dashes, or milliseconds."""

FORMS: Final = "2026-11-01, 2026-11-01T13:00+01:00 (UTC if no zone is said), Unix seconds, -7d, now"


def parse_time(text: str, now: float) -> int:
    """The Unix time in ms that the text means at ``now`` (Unix seconds); else ``MisuseError``.

    ISO 8601 dates and times (UTC if they name no zone; a date is its midnight), Unix seconds,
    spans of s, m, h, d and w before now ("-7d", "-1h30m", "2h ago"), or "now".

    >>> parse_time("2023-11-14T22:13:20", 0.0), parse_time("-1h30m", 5400.0)
    (1700000000000, 0)
    """
    words = text.strip()
    ago = 0.0 if words.lower() == "now" else _ago_seconds(words)
    if ago is not None:
        seconds = now - ago
    elif _NUMBER.fullmatch(words):
        seconds = _unix(text, float(words))
    else:
        seconds = _iso(text, words)
    if seconds < 0:
        raise MisuseError(f"time is {text!r}: that is before 1970")
    return round(seconds * 1000)


def format_time(ms: float) -> str:
    """A Unix time in ms as ISO 8601, in UTC and without what is zero.

    >>> format_time(1_700_000_000_000), format_time(1_700_000_000_250)
    ('2023-11-14T22:13:20Z', '2023-11-14T22:13:20.250Z')
    """
    at = datetime.fromtimestamp(ms / 1000, tz=UTC)
    precision = "milliseconds" if at.microsecond else "seconds"
    return at.isoformat(timespec=precision).replace("+00:00", "Z")


def _ago_seconds(words: str) -> float | None:
    found = _AGO.fullmatch(words)
    if found is None:
        return None
    span = found["minus"] or found["plain"]
    if not _PARTS.fullmatch(span):
        return None
    parts = _PART.findall(span)
    return sum(float(count) * _UNIT_SECONDS[unit.lower()] for count, unit in parts)


def _iso(text: str, words: str) -> float:
    try:
        at = datetime.fromisoformat(words)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise MisuseError(f"time is {text!r}: say {FORMS}") from error


def _unix(text: str, seconds: float) -> float:
    if not _FIRST_UNIX <= seconds < _LAST_UNIX:
        raise MisuseError(
            f"time is {text!r}: Unix seconds have ten digits, dates have dashes; say {FORMS}"
        )
    return seconds
