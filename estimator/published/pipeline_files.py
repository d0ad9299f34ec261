"""The files of a folder, a zip, a tar or a URL, read with suspicion."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from estimator.artifacts.zips import open_zip
from estimator.errors import DamagedError, MisuseError, SourceUnavailableError
from estimator.published.pipeline_folder import MOST_FILE_BYTES, MOST_FILES, folder_files
from estimator.published.pipelines import PICKLED, Files
from estimator.storage.download import download

MOST_BYTES: Final = 64 << 20
"""What an archive, packed and unpacked, may hold of what is read."""
_READ: Final = re.compile(r".+\.json")
_ANY: Final = re.compile(r".*", re.DOTALL)
# A gzip that ends within its head makes tarfile raise TypeError.
_UNREADABLE: Final = (
    TypeError,
    *(tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError),
)


def files_of(location: str) -> tuple[Files, str]:
    """The files at a path or http(s) URL, and the name of a pipeline that lies in no folder.

    ``SourceUnavailableError`` if there is nothing to be had, ``DamagedError`` if what is there is
    neither a folder, a zip nor a tar, or one that nobody should unpack.
    """
    scheme = urlsplit(location).scheme if "://" in location else ""
    if scheme in ("http", "https"):
        return archive_files(download(location, MOST_BYTES)), _stem(urlsplit(location).path)
    if scheme not in ("", "file"):
        raise MisuseError(f"{location!r}: a folder, an archive or an http URL is needed")
    path = Path(location.removeprefix("file://"))
    if path.is_dir():
        return folder_files(path), path.resolve().name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DamagedError(f"{path} has more than {MOST_BYTES} bytes")
        return archive_files(path.read_bytes()), _stem(path.name)
    except OSError as error:
        raise SourceUnavailableError(f"{path}: {error.strerror or error}") from error


def archive_files(data: bytes) -> Files:
    """The files of a zip or a tar (gzip, bzip2, xz or plain), of which only JSON is unpacked."""
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            return _zip_files(data)
        return _tar_files(data)
    except _UNREADABLE as error:
        raise DamagedError(f"no zip or tar that can be read: {error}") from error


class _Unpacked:
    """What has been unpacked so far, within bounds."""

    def __init__(self) -> None:
        self.files: dict[str, Callable[[], bytes]] = {}
        self._held = 0

    def add(self, name: str, size: int, read: Callable[[], bytes]) -> None:
        """Take a member in, of which no more than its size is read, and if it is JSON."""
        parts = name.split("/")
        if name.startswith("/") or "\\" in name or ":" in parts[0] or {"", ".", ".."} & {*parts}:
            raise DamagedError(f"member {name[:200]!r}: a path within the archive is needed")
        if name in self.files:
            raise DamagedError(f"member {name[:200]!r} is there twice")
        if len(self.files) == MOST_FILES:
            raise DamagedError(f"it has more than {MOST_FILES} members")
        if not _READ.fullmatch(name):
            self.files[name] = _no_json
            return
        self._held += size
        if size > MOST_FILE_BYTES or self._held > MOST_BYTES:
            raise DamagedError(
                f"member {name[:200]!r} has {size} bytes: at most {MOST_FILE_BYTES}, and"
                f" {MOST_BYTES} for all together"
            )
        content = read()
        self.files[name] = lambda: content


def _no_json() -> bytes:
    raise DamagedError(PICKLED)


def _zip_files(data: bytes) -> Files:
    unpacked = _Unpacked()
    with open_zip(io.BytesIO(data), MOST_FILES, names=_ANY) as members:
        for member in members:
            unpacked.add(member.name.removeprefix("./"), member.size, member.read)
    return unpacked.files


def _tar_files(data: bytes) -> Files:
    unpacked, members = _Unpacked(), 0
    # Read once from front to back, and no further than bounds allow: nothing says beforehand how
    # much a packed tar holds.
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|*") as archive:
        bound = 0
        for member in archive:
            members, bound = members + 1, bound + member.size
            if members > MOST_FILES or bound > 8 * MOST_BYTES:
                raise DamagedError(
                    f"it has more than {MOST_FILES} members or {8 * MOST_BYTES} bytes"
                )
            if member.isdir():
                continue
            if not member.isreg():
                raise DamagedError(f"member {member.name[:200]!r}: a plain file is needed")

            def read(member: tarfile.TarInfo = member) -> bytes:
                stream = archive.extractfile(member)
                return b"" if stream is None else stream.read(member.size)

            unpacked.add(member.name.removeprefix("./"), member.size, read)
    return unpacked.files


def _stem(path: str) -> str:
    name = path.rstrip("/").rpartition("/")[2]
    return re.sub(r"(\.tar)?\.(zip|tar|tgz|gz|bz2|xz)$", "", name) or "imported"
