"""A query's parameters, checked; ``RequestError`` names the key and the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from estimator.errors import RequestError

LONGEST: Final = 253
"""Letters that a parameter may have: a node's name has no more."""


def text(given: Mapping[str, str], key: str) -> str:
    """The parameter as it is; empty if it is not given.

    >>> text({"node": "a"}, "node"), text({}, "node")
    ('a', '')
    """
    value = given.get(key, "")
    if len(value) > LONGEST:
        raise RequestError(f"{key} is {value[:80]!r}...: at most {LONGEST} letters are possible")
    return value


def count(given: Mapping[str, str], key: str, default: int, most: int) -> int:
    """The parameter as a number from 1 to ``most``.

    >>> count({"limit": "7"}, "limit", 50, 100), count({}, "limit", 50, 100)
    (7, 50)
    """
    value = given.get(key)
    if value is None:
        return default
    # Python would take other scripts' digits, signs, underscores and spaces for a number, too.
    digits = value.isascii() and value.isdigit() and len(value) < 10
    if not (digits and 1 <= int(value) <= most):
        raise RequestError(f"{key} is {value[:80]!r}: a number from 1 to {most} is needed")
    return int(value)
