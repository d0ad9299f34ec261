"""Whether a command will be able to write what it makes, asked before it makes it."""

from __future__ import annotations

import os
from pathlib import Path

from estimator.errors import MisuseError


def check_writable(path: Path, flag: str = "--output") -> None:
    """``MisuseError`` names the flag and what is in the way: learning may take long before that.

    >>> check_writable(Path("/nowhere/models.zip"))
    Traceback (most recent call last):
    estimator.errors.MisuseError: --output is /nowhere/models.zip: there is no folder /nowhere
    """
    if path.is_dir():
        raise MisuseError(f"{flag} is {path}: that is a folder")
    if not path.parent.is_dir():
        raise MisuseError(f"{flag} is {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise MisuseError(f"{flag} is {path}: it cannot be written")
