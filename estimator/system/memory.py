"""Memory that large requests took, given back to the system. Does nothing but with glibc."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Final

LARGE_BLOCK_BYTES: Final = 256 << 10
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""``M_MMAP_THRESHOLD`` and ``M_ARENA_MAX`` of ``malloc.h``."""


def settle_allocation() -> None:
    """Have large blocks returned as soon as they are freed; to be called before threads begin.

    Left alone, glibc moves its threshold up to the largest block seen, and gives every thread a
    heap of its own, whose end it never gives back.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_ARENA_MAX, 1)
        library.mallopt(_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def give_back_memory() -> None:
    """Return to the system what has been freed."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        library.malloc_trim.argtypes = [ctypes.c_size_t]
        library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return library
