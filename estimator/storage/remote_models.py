"""Models from a model server by HTTP: asked again only for what has changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from estimator.artifacts.artifact import Artifact, decode
from estimator.errors import (
    DamagedError,
    MisuseError,
    NotFoundError,
    SourceUnavailableError,
    StoreError,
)
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.storage.http_get import Answer, Bounds, get
from estimator.storage.model_store import SCHEMA, ModelIndex, Version

TIMEOUT_SECONDS: Final = 5.0
"""For connecting and for each piece of an answer."""
MOST_SECONDS: Final = 30.0
"""For a whole answer."""
MOST_BYTES: Final = 64 << 20

_OK, _NOT_MODIFIED, _NOT_FOUND = 200, 304, 404


class RemoteVersion(msgspec.Struct, frozen=True):
    """A version of a model, as ``GET /models`` lists it."""

    digest: str
    at: int
    samples: int
    held: bool = False


class RemoteModel(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``GET /models``: what of it is needed here."""

    key: ModelKey
    slug: str
    digest: str
    number: int
    samples: int
    at: int
    errors: dict[str, dict[str, dict[str, float | None]]]
    features: list[str]
    components: list[str]
    machine: MachineSpec
    versions: list[RemoteVersion] | None = None


class RemoteModels:
    """The models of the model server at ``url``; for one thread.

    Nothing that comes from there is trusted: an artifact must have the digest that it is listed
    under, and is read as data.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``MisuseError`` for what is no http or https URL."""
        self._url = _checked(url).rstrip("/")
        self._clock = clock
        self._tag: str | None = None
        self._indexes: dict[str, ModelIndex] = {}
        self._numbers: dict[str, int] = {}
        self.unreadable: frozenset[str] = frozenset()

    def indexes(self) -> dict[str, ModelIndex]:
        """The index of every model by slug; asked with the last answer's tag."""
        known = {} if self._tag is None else {"If-None-Match": self._tag}
        answer = self._get("/models", known)
        if answer.status == _NOT_MODIFIED and self._tag is not None:
            return self._indexes
        if answer.status != _OK:
            raise StoreError(f"{self._url}/models answers {answer.status}")
        try:
            listed = msgspec.json.decode(answer.body, type=list[RemoteModel])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self._url}/models is no list of models: {error}") from error
        self._numbers = {model.key.node_type: model.number for model in listed}
        self._indexes = {model.key.slug: _index(model) for model in listed}
        self._tag = answer.headers["ETag"]
        return self._indexes

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest; ``NotFoundError`` or ``DamagedError``."""
        data = self.artifact_bytes(digest)
        try:
            return decode(data)
        except DamagedError as error:
            raise DamagedError(f"{self._url}/artifacts/{digest}: {error}") from error

    def artifact_bytes(self, digest: str) -> bytes:
        """Its bytes, of which the digest has been checked."""
        where = f"/artifacts/{digest}"
        answer = self._get(where)
        if answer.status == _NOT_FOUND:
            raise NotFoundError(f"{self._url}{where} is not there")
        if answer.status != _OK:
            raise StoreError(f"{self._url}{where} answers {answer.status}")
        found = hashlib.sha256(answer.body).hexdigest()
        if found != digest:
            raise DamagedError(f"{self._url}{where} has digest {found}")
        return answer.body

    def number(self, node_type: MachineSpec | str) -> int:
        """The node type's number for Kepler, as the server lists it; 0 if it does not."""
        name = node_type.node_type if isinstance(node_type, MachineSpec) else node_type
        return self._numbers.get(name, 0)

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        bounds = Bounds(MOST_BYTES, TIMEOUT_SECONDS, MOST_SECONDS)
        try:
            return get(self._url + path, bounds, headers, clock=self._clock)
        except (SourceUnavailableError, DamagedError) as error:
            raise StoreError(str(error)) from error


def _checked(url: str) -> str:
    parts = urlsplit(url)
    try:
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment or parts.username is not None:
        raise MisuseError(f"models is {url!r}: a URL such as http://host:8100 is needed")
    return url


def _index(model: RemoteModel) -> ModelIndex:
    """The model's index; of versions before the current one only their digests are listed."""
    listed = list(model.versions or ())
    if model.digest not in {one.digest for one in listed}:
        listed.append(RemoteVersion(model.digest, model.at, model.samples))
    versions = [
        Version(
            digest=one.digest,
            at=one.at,
            samples=one.samples,
            errors=model.errors,
            machine=model.machine,
            features=model.features,
            components=model.components,
            held=one.held,
        )
        for one in listed
    ]
    return ModelIndex(SCHEMA, model.key, model.digest, versions)
