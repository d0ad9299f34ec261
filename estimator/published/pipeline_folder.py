"""The files of a folder, of which none is read before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from estimator.errors import DamagedError
from estimator.published.pipelines import Files

MOST_FILE_BYTES: Final = 4 << 20
"""A larger file is none of weights."""
MOST_FILES: Final = 50_000


def folder_files(folder: Path) -> Files:
    """The folder's files; links are followed by nobody."""
    found: dict[str, Callable[[], bytes]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            if len(found) == MOST_FILES:
                raise DamagedError(f"{folder} has more than {MOST_FILES} files")
            found[path.relative_to(folder).as_posix()] = partial(_read_file, path)
    return found


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror}") from error
    if len(data) > MOST_FILE_BYTES:
        raise DamagedError(f"it has more than {MOST_FILE_BYTES} bytes")
    return data
