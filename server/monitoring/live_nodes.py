"""Which nodes there are, how wrong estimates of each have been lately, and who is being watched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

KNOWN_NODES: Final = 20_000
"""Names that are kept. Beyond them nodes are learned from like all others, and not listed."""
WATCHED_NODES: Final = 40
"""Nodes whose readings are kept: more than there can be pages (`web.event_stream.STREAMS`)."""
SILENT_SECONDS: Final = 600.0
"""A node not heard of for so long makes room for another if there is none."""

_FIRST_NODES: Final = 16
"""So many nodes, the first to be seen, are watched without being asked for."""
_MEMORY: Final = 0.95
"""What is kept of a node's recent error with every sample."""


class Node(NamedTuple):
    """A node, its last sample's time (Unix seconds), its recent error over its power, its type."""

    name: str
    at: float
    error: float
    node_type: str


class LiveNodes:
    """Bounded: names with two numbers each, and the few whose readings are kept.

    Safe to share between threads.
    """

    def __init__(self, known: int = KNOWN_NODES, watched: int = WATCHED_NODES) -> None:
        self._bound = known
        self._most_watched = watched
        self._known: dict[str, tuple[float, float, str]] = {}
        self._watched: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._swept = 0.0
        self.left_out = 0
        """Samples of nodes for whose names there was no room."""

    def __len__(self) -> int:
        return len(self._known)

    def note(
        self, names: Sequence[str], at: float, errors: Iterable[float], node_type: str = ""
    ) -> None:
        """Take in a sample of each node of a type: when, and its absolute error over its power."""
        known = self._known
        with self._lock:
            for name, error in zip(names, errors, strict=True):
                before = known.get(name)
                if before is not None:
                    kept = _MEMORY * before[1] + (1 - _MEMORY) * error
                    known[name] = max(at, before[0]), kept, node_type
                elif self._has_room(at):
                    known[name] = at, error, node_type
                    if len(self._watched) < _FIRST_NODES:
                        self._watched[name] = None
                else:
                    self.left_out += 1

    def is_watched(self, name: str) -> bool:
        """Whether readings of the node are to be kept."""
        return name in self._watched

    def watch(self, name: str) -> str | None:
        """Keep readings of the node from now on; the node that gives way for it, if one has to.

        It is the one that nobody has asked for for longest. A node that is not known is not
        watched.
        """
        with self._lock:
            if name not in self._known:
                return None
            self._watched[name] = None
            self._watched.move_to_end(name)
            if len(self._watched) <= self._most_watched:
                return None
            return self._watched.popitem(last=False)[0]

    def worst(self, most: int, search: str = "") -> list[Node]:
        """At most so many nodes whose names contain the text, those with the greatest error first.

        >>> nodes = LiveNodes()
        >>> nodes.note(["a1", "a2", "b1"], 10.0, [0.1, 0.3, 0.2])
        >>> [node.name for node in nodes.worst(2)], [node.name for node in nodes.worst(9, "1")]
        (['a2', 'b1'], ['b1', 'a1'])
        """
        with self._lock:
            found = [Node(name, *rest) for name, rest in self._known.items() if search in name]
        return sorted(found, key=lambda node: (-node.error, node.name))[:most]

    def _has_room(self, at: float) -> bool:
        if len(self._known) < self._bound:
            return True
        if at - self._swept < SILENT_SECONDS / 10:  # Sweeping looks at all of them.
            return False
        self._swept = at
        silent = [name for name, known in self._known.items() if known[0] < at - SILENT_SECONDS]
        for name in silent:
            del self._known[name]
            self._watched.pop(name, None)
        return len(self._known) < self._bound
