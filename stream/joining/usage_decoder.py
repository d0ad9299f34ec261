"""Reads usage records one after another, for less than each by itself.

A node's workloads are mostly those of its record before: their ids, a third of the bytes, are
compared as bytes and not read again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from stream.records import (
    VERSION,
    Amount,
    NodeUsage,
    UsageRecord,
    Workloads,
    check_usage,
    decode_usage,
)

_MOST_NODES: Final = 50_000
"""Ids of so many nodes are remembered; if there are more, remembering begins anew."""


class _UnreadWorkloads(msgspec.Struct, frozen=True, gc=False):
    id: msgspec.Raw = msgspec.Raw(b"[]")
    kind: msgspec.Raw = msgspec.Raw(b"[]")
    features: dict[str, list[Amount]] = {}


class _UnreadUsage(NodeUsage, frozen=True, gc=False):
    workloads: _UnreadWorkloads = _UnreadWorkloads()


class _Ids(NamedTuple):
    """A node's last ids, and the bytes that they were read from."""

    data: bytes
    names: list[str]


_usage = msgspec.json.Decoder(_UnreadUsage)
_names = msgspec.json.Decoder(list[str])


class UsageDecoder:
    """Reads usage records as `decode_usage` does; records share the lists of ids and kinds."""

    def __init__(self) -> None:
        self._ids: dict[str, _Ids] = {}

    def __len__(self) -> int:
        """Of how many nodes the ids are remembered."""
        return len(self._ids)

    def decode(self, data: bytes, appended_ms: int | None = None) -> UsageRecord:
        """Read a usage record; ``RecordError`` says what is wrong with it."""
        try:
            usage = _usage.decode(data)
            unread = usage.workloads
            ids, kinds = self._ids_of(usage.node, bytes(unread.id)), _kinds(bytes(unread.kind))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            ids = None
        if ids is None or usage.v != VERSION:
            return decode_usage(data, appended_ms)  # It says what is wrong, and where.
        record = UsageRecord(
            usage.v,
            usage.node,
            usage.at,
            usage.mode,
            usage.interval,
            usage.machine,
            usage.node_features,
            Workloads(ids, kinds, unread.features),
        )
        check_usage(record, appended_ms)
        return record

    def _ids_of(self, node: str, data: bytes) -> list[str] | None:
        """The ids in these bytes; None if one is there twice."""
        last = self._ids.get(node)
        if last is not None and last.data == data:
            return last.names
        names = _names.decode(data)
        if len(set(names)) != len(names):
            return None
        if len(self._ids) >= _MOST_NODES:
            self._ids.clear()
        self._ids[node] = _Ids(data, names)
        return names


@lru_cache(maxsize=1024)
def _kinds(data: bytes) -> list[str]:
    return _names.decode(data)
