"""Checkpoints: a shard's whole state with the offsets it has consumed, written as one unit."""

from __future__ import annotations

import hashlib
import itertools
import logging
from typing import Annotated, Final

import msgspec

from estimator.arrays import State
from estimator.errors import DamagedError, NotFoundError
from estimator.store import Store
from stream import plain

_log = logging.getLogger(__name__)

SCHEMA: Final = 1
KEPT: Final = 3
"""So many checkpoints of a shard are kept: the current one, and those to fall back to."""
_MAGIC: Final = b"WATTSTREAM CHECKPOINT\n"


class _Pointer(msgspec.Struct, frozen=True):
    """Which checkpoints of a shard there are, newest first."""

    names: list[Annotated[str, msgspec.Meta(pattern=r"^[0-9]{12}\.ckpt$")]]


def encode(state: State) -> bytes:
    """The checkpoint's bytes: a magic line, the schema version, a digest, the state."""
    payload = plain.dump(state)
    return _MAGIC + SCHEMA.to_bytes(2, "little") + hashlib.sha256(payload).digest() + payload


def decode(data: bytes) -> State:
    """The state in a checkpoint; ``DamagedError`` says what is wrong with it."""
    start = len(_MAGIC)
    if data[:start] != _MAGIC:
        raise DamagedError("no checkpoint: the first line is another")
    schema = int.from_bytes(data[start : start + 2], "little")
    if schema != SCHEMA:
        raise DamagedError(f"schema is {schema}: this release reads {SCHEMA}")
    payload = data[start + 34 :]
    if hashlib.sha256(payload).digest() != data[start + 2 : start + 34]:
        raise DamagedError("the digest does not match the content")
    try:
        return plain.load(payload)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise DamagedError(f"the content cannot be read: {error}") from error


class Checkpoints:
    """The checkpoints of one group's shards in a store."""

    def __init__(self, store: Store, group: str) -> None:
        self._store = store
        self._folder = f"checkpoints/{group}"

    def write(self, partition: int, data: bytes) -> None:
        """Make ``data`` (of `encode`) the partition's checkpoint; the one before stays readable.

        A crash before the last step leaves the old one current, and the next write starts over.
        """
        folder = f"{self._folder}/{partition}"
        names = self._names(partition)
        number = int(names[0].split(".")[0]) + 1 if names else 1
        # 2 of a commit's steps (see Worker.commit): under a new name ...
        name = f"{number:012d}.ckpt"
        self._store.put(f"{folder}/{name}", data)
        # 3: ... which then becomes the current one, at once.
        kept = [name, *names][:KEPT]
        pointer = msgspec.json.encode(_Pointer(kept))
        self._store.put(f"{folder}/current.json", pointer)
        # Not only what this write has dropped: a crash may have left more.
        for old in self._listed(partition):
            if old not in kept:
                self._store.delete(f"{folder}/{old}")

    def read(self, partition: int) -> State | None:
        """The newest state that can be read; None if there is no checkpoint.

        Damaged ones and those of another schema are named in the log, and the one before is used.
        Raises ``DamagedError`` if there are checkpoints and none can be read: to start from
        nothing then would silently throw away what was learned.
        """
        names = self._names(partition)
        # A damaged pointer may look sound, and name what is not there.
        others = (name for name in self._listed(partition) if name not in names) if names else ()
        for name in itertools.chain(names, others):
            path = f"{self._folder}/{partition}/{name}"
            try:
                return decode(self._store.get(path).data)
            except (DamagedError, NotFoundError) as error:
                _log.warning("checkpoint %s cannot be used: %s", path, error)
        if names:
            raise DamagedError(
                f"no checkpoint of partition {partition} can be read; remove the folder "
                f"{self._folder}/{partition} from the store to learn anew"
            )
        return None

    def _names(self, partition: int) -> list[str]:
        path = f"{self._folder}/{partition}/current.json"
        try:
            stored = self._store.get(path).data
        except NotFoundError:
            return []
        try:
            return msgspec.json.decode(stored, type=_Pointer).names
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("%s is damaged (%s): looking for the checkpoints themselves", path, error)
            return self._listed(partition)

    def _listed(self, partition: int) -> list[str]:
        """The checkpoints that lie in the store, newest first, the current ones or not."""
        found = self._store.list(f"{self._folder}/{partition}")
        return sorted(path.rsplit("/", 1)[-1] for path in found if path.endswith(".ckpt"))[::-1]
