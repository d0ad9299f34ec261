"""Zips from anybody, read with suspicion."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from estimator.errors import DamagedError

MOST_MEMBERS: Final = 10_000
PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")
"""Names of files that lie in no folder."""

_PIECE: Final = 1 << 20
_ENCRYPTED: Final = 1
# Of others zipfile unpacks as much at once as there is, whatever size was promised.
_BOUNDED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError),
    *(OSError, OverflowError, RuntimeError, ValueError),
)


class Member:
    """A file of a zip. ``size`` is what it says that it holds, in bytes: no more is ever read."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive, self._info = archive, info
        # As the zip has it, not as it is shortened at a NUL.
        self.name, self.size = info.orig_filename, info.file_size

    def pieces(self) -> Iterator[bytes]:
        """What it holds, at most 1 MiB at once; ``DamagedError`` if that is not as it says."""
        with _suspicion(), self._archive.open(self._info) as stream:
            while piece := stream.read(_PIECE):
                yield piece

    def read(self) -> bytes:
        """All that it holds; ``DamagedError`` as of ``pieces``."""
        return b"".join(self.pieces())


@contextmanager
def open_zip(
    file: Path | IO[bytes], most_members: int = MOST_MEMBERS, names: re.Pattern[str] = PLAIN
) -> Iterator[list[Member]]:
    """The files in the zip, each once; the caller says how large they may be.

    ``DamagedError`` for too many, for other names, for what is encrypted or packed in a way that
    cannot be unpacked piece by piece, and for what is no zip.
    """
    with _suspicion():
        archive = zipfile.ZipFile(file)
    with archive:
        infos = archive.infolist()
        if len(infos) > most_members:
            raise DamagedError(f"members are {len(infos)}: at most {most_members}")
        seen: set[str] = set()
        for info in infos:
            _check(info, names)
            if info.orig_filename in seen:
                raise DamagedError(f"member {_shown(info)} is there twice")
            seen.add(info.orig_filename)
        yield [Member(archive, info) for info in infos if not info.is_dir()]


def _check(info: zipfile.ZipInfo, names: re.Pattern[str]) -> None:
    if not names.fullmatch(info.orig_filename):
        raise DamagedError(f"member {_shown(info)}: a plain file name is needed")
    if info.compress_type not in _BOUNDED:
        raise DamagedError(f"member {_shown(info)}: compression {info.compress_type} is unknown")
    if info.flag_bits & _ENCRYPTED:
        raise DamagedError(f"member {_shown(info)} is encrypted")


def _shown(info: zipfile.ZipInfo) -> str:
    return repr(info.orig_filename[:200])


@contextmanager
def _suspicion() -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise DamagedError(f"not a zip that can be read: {error}") from error
