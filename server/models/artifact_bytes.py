"""The bytes of artifacts, read in a thread and kept up to a bound: they never change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.concurrency import run_in_threadpool

KEPT_BYTES: Final = 16 << 20


class ArtifactBytes:
    """Reads artifacts by digest, and keeps those asked for last, ``bound`` bytes in all.

    For one thread: the event loop's.
    """

    def __init__(self, read: Callable[[str], bytes], bound: int = KEPT_BYTES) -> None:
        self._read = read
        self._bound = bound
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    async def get(self, digest: str) -> bytes:
        """The bytes of the artifact with this digest; what the store raises is passed on."""
        if digest in self._kept:
            self._kept.move_to_end(digest)
            return self._kept[digest]
        data = await run_in_threadpool(self._read, digest)
        if digest not in self._kept and len(data) <= self._bound:
            self._kept[digest] = data
            self._size += len(data)
        while self._size > self._bound:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest)
        return data
