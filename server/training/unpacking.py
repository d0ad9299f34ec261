"""A zip that holds one file, read with suspicion and put in the place of the zip."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")
_AT_ONCE: Final = 1 << 20
_ENCRYPTED: Final = 1
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError),
    *(OverflowError, RuntimeError, ValueError),
)


def take_out(path: Path, limit: int) -> None:
    """Replace the zip by what its one member holds, at most ``limit`` bytes; else 400 or 413."""
    part = path.with_suffix(".part")
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_member(archive)
            if member.file_size > limit:
                _too_large(member, member.file_size, limit)
            with archive.open(member) as packed, part.open("wb") as file:
                size = 0
                while piece := packed.read(_AT_ONCE):
                    size += len(piece)
                    if size > limit:
                        _too_large(member, size, limit)
                    file.write(piece)
    except _UNREADABLE as error:
        raise HTTPException(400, f"body is no zip that can be read: {error}") from error
    part.replace(path)


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise HTTPException(400, f"the zip has {len(members)} members: one is needed, a request")
    member = members[0]
    # As the zip has it, not as it is shortened at a NUL.
    if not _NAME.fullmatch(member.orig_filename):
        name = member.orig_filename[:80]
        raise HTTPException(400, f"the zip's member is {name!r}: a plain file name is needed")
    if member.flag_bits & _ENCRYPTED:
        raise HTTPException(400, f"the zip's member {member.filename[:80]!r} is encrypted")
    return member


def _too_large(member: zipfile.ZipInfo, size: int, limit: int) -> None:
    name = member.filename[:80]
    raise HTTPException(
        413, f"the zip's member {name!r} holds at least {size} bytes, {limit} are the limit"
    )
