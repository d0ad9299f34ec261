"""The versions that container images are built with.

``python -m tests.compose.constraints`` writes those that are installed here.
"""

from __future__ import annotations

from importlib.metadata import distribution, version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILE: Final = Path(__file__).parents[2] / "compose" / "constraints.txt"
_HEAD: Final = (
    "# Written by python -m tests.compose.constraints: versions that tests have run with.\n"
)


def needed(name: str = "wattstream", extras: frozenset[str] = frozenset({"all"})) -> set[str]:
    """The distributions that this one needs in the end, by canonical name, itself left out."""
    found: set[str] = set()
    waiting = [(name, extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        found.add(canonicalize_name(one[0]))
        waiting += [
            (requirement.name, frozenset(requirement.extras))
            for requirement in map(Requirement, distribution(one[0]).requires or [])
            if _applies(requirement, one[1])
        ]
    return found - {canonicalize_name(name)}


def pinned() -> dict[str, str]:
    """The versions in the file, by name."""
    lines = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==", 1) for line in lines)


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""})


def main() -> None:
    """Write the file."""
    names = sorted(needed())
    FILE.write_text(_HEAD + "".join(f"{name}=={version(name)}\n" for name in names))


if __name__ == "__main__":
    main()
