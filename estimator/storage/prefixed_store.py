"""A folder of a store that is itself a store."""

from __future__ import annotations

from estimator.storage.store import Store, Stored


class PrefixedStore:
    """All that lies below a folder of another store; paths in errors are those of the other.

    What works on a store works unchanged in a part of one, and reaches nothing outside it.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix.rstrip("/")

    def get(self, path: str) -> Stored:
        """What lies under the path; ``NotFoundError`` if there is nothing."""
        return self._store.get(self._below(path))

    def put(self, path: str, data: bytes) -> str:
        """Write, replacing at once what was there; returns the new tag."""
        return self._store.put(self._below(path), data)

    def create(self, path: str, data: bytes) -> str:
        """Write what was not there; ``ConflictError`` if something is; returns the new tag."""
        return self._store.create(self._below(path), data)

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        """Replace what has this tag (None: nothing there), else ``ConflictError``; the new tag."""
        return self._store.swap(self._below(path), data, expected_tag)

    def list(self, prefix: str) -> list[str]:
        """The paths in the folder ``prefix`` ("" is all) and below, sorted."""
        start = len(self._prefix) + 1
        found = self._store.list(self._below(prefix) if prefix else self._prefix)
        return [path[start:] for path in found]

    def delete(self, path: str) -> None:
        """Remove what lies under the path, if anything."""
        self._store.delete(self._below(path))

    def _below(self, path: str) -> str:
        # The store refuses paths that lead elsewhere: no part may be empty or begin with a dot.
        return f"{self._prefix}/{path}"
