"""A file as bytes that the system reads where they are looked at, however large it is."""

from __future__ import annotations

import mmap
from pathlib import Path


def mapped(path: Path) -> bytes:
    """What the file holds, to be decoded; it is let go of with the last view of it."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return b""  # of which there is nothing to map
        # Not bytes, but what decoders take in their place.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # type: ignore[return-value]
