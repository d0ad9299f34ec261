"""Which checkpoints of a shard there are, and who may write the next one."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

_NAME: Final = re.compile(r"(?:([0-9]{8})-)?([0-9]{12})\.ckpt")

Name = Annotated[str, msgspec.Meta(pattern=rf"^{_NAME.pattern}$")]


class Pointer(msgspec.Struct, frozen=True):
    """The names of the checkpoints, newest first, and the generation of the owner who may write.

    Whoever takes a shard over raises the generation; who holds an older one has lost the shard.
    """

    names: list[Name]
    generation: int = 0
    owner: str = ""


def name_of(generation: int, number: int) -> str:
    """The name of an owner's checkpoint: no other owner ever writes it.

    >>> name_of(3, 17)
    '00000003-000000000017.ckpt'
    """
    return f"{generation:08d}-{number:012d}.ckpt"


def order_of(name: str) -> tuple[int, int]:
    """Generation and number of a checkpoint, by which they are ordered.

    >>> order_of("00000003-000000000017.ckpt"), order_of("000000000017.ckpt")
    ((3, 17), (0, 17))
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no checkpoint's name")
    return int(found[1] or 0), int(found[2])


def is_name(name: str) -> bool:
    """Whether that is a checkpoint's name."""
    return _NAME.fullmatch(name) is not None


def encode(pointer: Pointer) -> bytes:
    """The pointer's bytes: JSON."""
    return msgspec.json.encode(pointer)


def decode(data: bytes) -> Pointer:
    """The pointer in these bytes; ``msgspec.DecodeError`` or ``UnicodeDecodeError`` if none is."""
    pointer = msgspec.json.decode(data, type=Pointer)
    # A damaged number must not let an owner of long ago write again.
    least = max((order_of(name)[0] for name in pointer.names), default=0)
    return msgspec.structs.replace(pointer, generation=max(least, pointer.generation))
