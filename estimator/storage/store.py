"""Named bytes that survive: a folder, a bucket or memory, and one Protocol for all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, MemoryStore, from_url
from obstore.store import ObjectStore as ObstoreStore

from estimator.errors import ConflictError, MisuseError, NotFoundError, StoreError

_PATH: Final = re.compile(r"(?!\.)[^/\\#\x00-\x1f]+(/(?!\.)[^/\\#\x00-\x1f]+)*")
_LOCK: Final = ".lock"


class Stored(NamedTuple):
    """What lies under a path, and the tag that `Store.swap` compares."""

    data: bytes
    tag: str


class Store(Protocol):
    """Bytes by path; every write is whole or not at all. Failures are ``StoreError``.

    Paths are relative, with ``/`` between their parts; no part begins with a dot.
    """

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
        """Replace what has this tag (None: nothing there), else ``ConflictError``; the new tag."""
        ...

    def list(self, prefix: str) -> list[str]:
        """The paths in the folder ``prefix`` ("" is all) and below, sorted."""
        ...

    def delete(self, path: str) -> None:
        """Remove what lies under the path, if anything."""
        ...


OBJECT_STORES: Final = ("s3", "gs", "az")


def open_store(url: str) -> Store:
    """The store that the URL names: a folder, a bucket, or memory.

    ``file:///folder``, ``file:folder``, ``s3://bucket/prefix``, ``gs://...``, ``az://...`` or
    ``memory:``. A folder is made if it is not there; a bucket must be there, and what else is
    needed to reach it comes from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``,
    ...). ``StoreError`` if that fails, ``MisuseError`` for other URLs. Every ``memory:`` is a new
    one.
    """
    if url == "memory:":
        return InMemoryStore()
    scheme, colon, rest = url.partition(":")
    if scheme in OBJECT_STORES and rest.startswith("//") and len(rest) > 2:
        return _bucket(url)
    if scheme != "file" or not colon:
        known = ", ".join(f"{name}://bucket" for name in OBJECT_STORES)
        raise MisuseError(f"store is {url!r}: file:///folder, {known} or memory: is needed")
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if host not in ("", "localhost"):
            raise MisuseError(f"store is {url!r}: a file URL with three slashes is needed")
    if not rest or "\0" in unquote(rest):
        raise MisuseError(f"store is {url!r}: it names no folder")
    return FolderStore(Path(unquote(rest)))


def _bucket(url: str) -> Store:
    try:
        bucket = from_url(
            url,
            # Plain HTTP only where the endpoint's own address says so; buckets default to TLS.
            client_options={"timeout": "30 s", "connect_timeout": "5 s", "allow_http": True},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=10)},
        )
    except (BaseError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise MisuseError(f"store is {url!r}: {reason}") from error
    return ObjectStore(bucket, f", in {url}")


class ObjectStore:
    """A store in a bucket, or in whatever else compares and replaces in one step.

    Tags are the bucket's own; of two writers that swap the same tag, one wins.
    """

    def __init__(self, bucket: ObstoreStore, where: str = "") -> None:
        self._bytes = bucket
        self._where = where

    def get(self, path: str) -> Stored:
        """What lies under the path; ``NotFoundError`` if there is nothing."""
        with self._errors(path):
            try:
                found = self._bytes.get(_checked(path))
            except FileNotFoundError as error:
                raise NotFoundError(f"{path}: not there{self._where}") from error
            return Stored(bytes(found.bytes()), str(found.meta["e_tag"]))

    def put(self, path: str, data: bytes) -> str:
        """Write, replacing at once what was there; returns the new tag."""
        with self._errors(path):
            return str(self._bytes.put(_checked(path), data)["e_tag"])

    def create(self, path: str, data: bytes) -> str:
        """Write what was not there; ``ConflictError`` if something is; returns the new tag."""
        with self._errors(path):
            return str(self._bytes.put(_checked(path), data, mode="create")["e_tag"])

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        """Replace what has this tag (None: nothing there), else ``ConflictError``; the new tag."""
        if expected_tag is None:
            return self.create(path, data)
        with self._errors(path):
            try:
                put = self._bytes.put(_checked(path), data, mode={"e_tag": expected_tag})
            except FileNotFoundError as error:
                raise ConflictError(f"{path}: there is nothing now{self._where}") from error
            return str(put["e_tag"])

    def list(self, prefix: str) -> list[str]:
        """The paths in the folder ``prefix`` ("" is all) and below, sorted."""
        with self._errors(prefix):
            return _listed(self._bytes, prefix)

    def delete(self, path: str) -> None:
        """Remove what lies under the path, if anything."""
        with self._errors(path), suppress(FileNotFoundError):
            self._bytes.delete(_checked(path))

    def _errors(self, path: str) -> AbstractContextManager[None]:
        return _errors(path, self._where)


class InMemoryStore(ObjectStore):
    """A store that ends with the process."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())


class FolderStore:
    """A store in a folder, which several processes may share; tags are digests of the content.

    What was written is on the disk when a method returns. A file system cannot compare and replace
    in one step, so all writers take turns by a lock, which ends with the process that holds it;
    readers never wait.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        with _errors(f"the folder {self._folder} cannot be used"):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._bytes = LocalStore(self._folder)

    def get(self, path: str) -> Stored:
        """What lies under the path; ``NotFoundError`` if there is nothing."""
        with self._errors(path):
            try:
                data = bytes(self._bytes.get(_checked(path)).bytes())
            except FileNotFoundError as error:
                self._must_exist()
                raise NotFoundError(f"{path}: not there, in folder {self._folder}") from error
            return Stored(data, _tag(data))

    def put(self, path: str, data: bytes) -> str:
        """Write, replacing at once what was there; returns the new tag."""
        with self._errors(path), self._locked():
            return self._write(path, data)

    def create(self, path: str, data: bytes) -> str:
        """Write what was not there; ``ConflictError`` if something is; returns the new tag."""
        return self.swap(path, data, None)

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        """Replace what has this tag (None: nothing there), else ``ConflictError``; the new tag."""
        with self._errors(path), self._locked():
            try:
                found = self.get(path).tag
            except NotFoundError:
                found = None
            if found != expected_tag:
                there = "something else" if found else "nothing"
                raise ConflictError(f"{path}: there is {there} now, in {self._folder}")
            return self._write(path, data)

    def list(self, prefix: str) -> list[str]:
        """The paths in the folder ``prefix`` ("" is all) and below, sorted."""
        with self._errors(prefix):
            paths = _listed(self._bytes, prefix)
            if not paths:
                self._must_exist()
            return paths

    def delete(self, path: str) -> None:
        """Remove what lies under the path, if anything."""
        with self._errors(path), self._locked():
            try:
                self._bytes.delete(_checked(path))
            except FileNotFoundError:
                return
            _sync((self._folder / path).parent)

    def _must_exist(self) -> None:
        # A folder that was taken away is an outage; an empty store would be something else.
        if not self._folder.is_dir():
            raise StoreError(f"the folder {self._folder} is gone")

    def _write(self, path: str, data: bytes) -> str:
        self._bytes.put(_checked(path), data)
        _sync(self._folder / path)
        _sync((self._folder / path).parent)
        return _tag(data)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Opened anew each time: threads of one process wait for each other as well.
        lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _errors(self, path: str) -> AbstractContextManager[None]:
        return _errors(path, f", in folder {self._folder}")


@contextmanager
def _errors(path: str, where: str = "") -> Iterator[None]:
    """Turn what obstore and the system raise into our errors, in one line."""
    try:
        yield
    except (AlreadyExistsError, PreconditionError) as error:
        raise ConflictError(f"{path}: something else is there{where}") from error
    except (BaseError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise StoreError(f"{path or 'the store'}: {reason}{where}") from error


def _checked(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise StoreError(f"path is {path!r}: parts like a/b are needed, none with a dot in front")
    return path


def _listed(store: ObstoreStore, prefix: str) -> list[str]:
    found = store.list(_checked(prefix.rstrip("/")) if prefix else None)
    paths = [str(meta["path"]) for batch in found for meta in batch]
    return sorted(path for path in paths if _PATH.fullmatch(path))


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(path: Path) -> None:
    """Have the system write a file, or a folder's names, to the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
