"""Prometheus's text format, read and written a family at a time, without a library for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_SUFFIXES: Final = ("_bucket", "_sum", "_count")


class Family:
    """One metric: its lines of help and type as they were, and its samples' lines."""

    __slots__ = ("head", "lines", "name")

    def __init__(self, name: str, head: str = "") -> None:
        self.name = name
        self.head = head
        self.lines: list[str] = []

    def text(self) -> str:
        """The family as a page has it; nothing of a family without samples."""
        return self.head + "\n".join(self.lines) + "\n" if self.lines else ""


class Sample(NamedTuple):
    """One value of one series."""

    labels: Mapping[str, str]
    value: float


class Page:
    """The families of a page, in their order."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}

    def family(self, name: str, kind: str = "", help_text: str = "") -> Family:
        """The family of that name; made, with that kind and help, where there is none yet."""
        found = self.families.get(name)
        if found is None:
            head = f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n" if kind else ""
            found = self.families[name] = Family(name, head)
        return found

    def samples(self, name: str) -> Iterator[Sample]:
        """The samples of a family whose values are finite and not negative."""
        found = self.families.get(name)
        for line in found.lines if found else ():
            series, text = _split(line)
            try:
                value = float(text)
            except ValueError:
                continue
            if math.isfinite(value) and value >= 0.0:
                yield Sample(_labels(series), value)

    def text(self) -> str:
        """The page."""
        return "".join(family.text() for family in self.families.values())


def read_page(text: str) -> Page:
    r"""Take a page apart; ``ValueError`` names the first line that belongs to none.

    >>> page = read_page('# TYPE a gauge\na{b="c"} 1\nd 2\n')
    >>> list(page.families), next(page.samples("a"))
    (['a', 'd'], Sample(labels={'b': 'c'}, value=1.0))
    """
    page, current = Page(), Family("#")
    for line in text.split("\n"):
        if line.startswith("#"):
            words = line.split(" ", 3)
            if len(words) > 2 and words[1] in ("HELP", "TYPE"):
                if words[2] != current.name:
                    current = page.family(words[2])
                current.head += line + "\n"
            continue
        if not line.strip():
            continue
        name = line.partition("{")[0].partition(" ")[0]
        if name != current.name and not _is_part(name, current.name):
            if not _NAME.fullmatch(name) or not _split(line)[1]:
                raise ValueError(f"no sample: {line[:80]!r}")
            current = page.family(name)
        current.lines.append(line)
    return page


def _is_part(name: str, family: str) -> bool:
    return name.startswith(family) and name[len(family) :] in _SUFFIXES


def _split(line: str) -> tuple[str, str]:
    """The series and its value, as texts; a time stamp after the value is dropped."""
    series, brace, rest = line.rpartition("}")
    if not brace:
        series, _, rest = line.partition(" ")
    words = rest.split()
    return series, words[0] if words else ""


@lru_cache(maxsize=8192)
def _labels(series: str) -> Mapping[str, str]:
    """The labels of ``name{label="value",...``, read once for as long as the series lives."""
    inside = series.partition("{")[2]
    return {name: _unescaped(value) for name, value in _LABEL.findall(inside)}


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def labelled(labels: Mapping[str, str]) -> str:
    r"""The labels as they stand between braces.

    >>> labelled({"comm": 'a"b', "pid": "1"})
    'comm="a\\"b",pid="1"'
    """
    return ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
