"""Checkpoints: a shard's whole state with the offsets it has consumed, written as one unit."""

from __future__ import annotations

import hashlib
import itertools
import logging
from typing import Final, NamedTuple

import msgspec

from estimator.arrays import State
from estimator.errors import ConflictError, DamagedError, FencedError, NotFoundError
from estimator.storage.store import Store
from stream.learning import checkpoint_pointer as pointers
from stream.learning import plain
from stream.learning.checkpoint_pointer import Pointer, name_of, order_of

_log = logging.getLogger(__name__)

SCHEMA: Final = 1
KEPT: Final = 3
"""So many checkpoints of a shard are kept: the current one, and those to fall back to."""
_MAGIC: Final = b"WATTSTREAM CHECKPOINT\n"
_ATTEMPTS: Final = 100
"""A conflict means that somebody else got on: so many in a row mean that something is wrong."""


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


class _Held(NamedTuple):
    """What a shard's owner knows of its pointer: the content, and the tag to swap it by."""

    pointer: Pointer
    tag: str


class Checkpoints:
    """The checkpoints of one group's shards in a store, written by one owner at a time.

    Whoever wants to write a shard claims it. The one who claimed it before can write it no more,
    whatever it believes: every write compares and swaps the pointer that the claim has changed.
    ``owner`` says who this is, for people to read.
    """

    def __init__(self, store: Store, group: str, owner: str = "") -> None:
        self._store = store
        self._folder = f"checkpoints/{group}"
        self._owner = owner
        self._held: dict[int, _Held] = {}

    def claim(self, partition: int) -> State | None:
        """Become the owner of a partition; its newest state that can be read, as `read` gives it.

        Nobody who claimed it before can change that state any more.
        """
        self._held[partition] = self._claimed(partition)
        return self._newest(partition, self._held[partition].pointer.names)

    def write(self, partition: int, data: bytes) -> None:
        """Make ``data`` (of `encode`) the partition's checkpoint; the one before stays readable.

        ``FencedError`` if the partition was never claimed, or by another since.
        A crash before the last step leaves the old one current, and the next write starts over.
        """
        held = self._held.get(partition)
        if held is None:
            raise FencedError(f"partition {partition} is not claimed")
        before = held.pointer
        number = order_of(before.names[0])[1] + 1 if before.names else 1
        # 2 of a commit's steps (see Worker.commit): under a new name ...
        name = name_of(before.generation, number)
        self._store.put(f"{self._folder}/{partition}/{name}", data)
        # 3: ... which then becomes the current one, at once.
        after = msgspec.structs.replace(before, names=[name, *before.names][:KEPT])
        self._held[partition] = _Held(after, self._swap(partition, held, after))
        # Not only what this write has dropped: a crash may have left more. Never what is newer:
        # another may have claimed the partition by now.
        for old in self._listed(partition):
            if old not in after.names and order_of(old) < order_of(name):
                self._store.delete(f"{self._folder}/{partition}/{old}")

    def read(self, partition: int) -> State | None:
        """The newest state that can be read; None if there is no checkpoint.

        Damaged ones and those of another schema are named in the log, and the one before is used.
        Raises ``DamagedError`` if there are checkpoints and none can be read: to start from
        nothing then would silently throw away what was learned.
        """
        return self._newest(partition, self._pointer(partition)[0].names)

    def exists(self, partition: int) -> bool:
        """Whether the partition has a checkpoint, by whomever."""
        return bool(self._pointer(partition)[0].names)

    def _newest(self, partition: int, names: list[str]) -> State | None:
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

    def _claimed(self, partition: int) -> _Held:
        """Raise the pointer's generation; what is held then."""
        for _ in range(_ATTEMPTS):
            before, tag = self._pointer(partition)
            claim = Pointer(before.names, before.generation + 1, self._owner)
            try:
                tag = self._store.swap(self._path(partition), pointers.encode(claim), tag)
            except ConflictError:
                continue
            return _Held(claim, tag)
        raise ConflictError(f"{self._path(partition)} was changed by others {_ATTEMPTS} times")

    def _swap(self, partition: int, held: _Held, after: Pointer) -> str:
        """Put the pointer in place of the one that is held; the new tag."""
        path, data = self._path(partition), pointers.encode(after)
        try:
            return self._store.swap(path, data, held.tag)
        except ConflictError as error:
            # An earlier swap may have worked although its answer was lost, or damage been done.
            now, tag = self._pointer(partition)
            if now.generation <= after.generation:
                return self._store.swap(path, data, tag)
            self._held.pop(partition, None)
            raise FencedError(
                f"partition {partition} was taken over by {now.owner or 'another learner'} "
                f"(generation {now.generation}, ours is {after.generation})"
            ) from error

    def _path(self, partition: int) -> str:
        return f"{self._folder}/{partition}/current.json"

    def _pointer(self, partition: int) -> tuple[Pointer, str | None]:
        """The pointer and its tag; a damaged one is made up from what lies in the store."""
        path = self._path(partition)
        try:
            stored = self._store.get(path)
        except NotFoundError:
            return Pointer([]), None
        try:
            return pointers.decode(stored.data), stored.tag
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("%s is damaged (%s): looking for the checkpoints themselves", path, error)
            names = self._listed(partition)
            return Pointer(names, order_of(names[0])[0] if names else 0), stored.tag

    def _listed(self, partition: int) -> list[str]:
        """The checkpoints that lie in the store, newest first, the current ones or not."""
        found = (
            path.rsplit("/", 1)[-1] for path in self._store.list(f"{self._folder}/{partition}")
        )
        return sorted(filter(pointers.is_name, found), key=order_of, reverse=True)
