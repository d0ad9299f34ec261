"""Named bytes that survive: a folder, or memory, and one Protocol for both."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Stored(NamedTuple):
    """What lies under a path, and the tag that `Store.swap` compares."""

    data: bytes
    tag: str


class Store(Protocol):
    """Bytes by path; every write is whole or not at all. Failures are ``StoreError``."""

    def get(self, path: str) -> Stored:
        """What lies under the path; ``NotFoundError`` if there is nothing."""
        ...

    def put(self, path: str, data: bytes) -> str:
        """Write, replacing at once what was there; returns the new tag."""
        ...

    def create(self, path: str, data: bytes) -> str:
        """Write what was not there; ``ConflictError`` if something is; returns the new tag."""
        ...

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        """Replace what has this tag (None: nothing there); else ``ConflictError``."""
        ...

    def list(self, prefix: str) -> list[str]:
        """The paths in the folder ``prefix`` and below, sorted."""
        ...

    def delete(self, path: str) -> None:
        """Remove what lies under the path, if anything."""
        ...


def open_store(url: str) -> Store:
    """The store that the URL names: ``file:///folder``, ``file:folder`` or ``memory:``."""
    raise NotImplementedError
