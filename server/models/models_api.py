"""Our own view of the models: the list of all that are served, and their artifacts."""

from __future__ import annotations

import hashlib
import logging
import operator
import re
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.choosing.catalog import Catalog, Entry
from estimator.errors import RequestError, StoreError
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.storage.model_store import ModelIndex, ModelStore
from server.models.artifact_bytes import ArtifactBytes
from server.web.conditional import Answer, has_already
from server.web.ranges import RangedAnswer

logger = logging.getLogger(__name__)

ARCHIVE: Final = "application/zip"
JSON: Final = "application/json"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class ListedVersion(msgspec.Struct, frozen=True):
    """A version of a model that the store keeps; ``at`` (Unix ms) is that of its last sample.

    ``held``: it was held back when it was published.
    """

    digest: str
    at: int
    samples: int
    held: bool


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``GET /models``. Times are Unix ms, ``errors`` are the manifest's.

    ``versions`` go from the oldest to the newest; null while the store cannot be read. ``pinned``
    and ``held``: no new version becomes current, because a person or the gate says so;
    ``held_back`` counts those that the gate has held back, ``rollbacks`` by reason.
    """

    key: ModelKey
    slug: str
    digest: str
    number: int
    samples: int
    since: int
    at: int
    errors: dict[str, dict[str, dict[str, float | None]]]
    features: list[str]
    components: list[str]
    experts: list[str]
    machine: MachineSpec
    versions: list[ListedVersion] | None
    pinned: bool = False
    held: bool = False
    held_back: int = 0
    rollbacks: dict[str, int] = {}


class ModelsApi:
    """``GET /models`` and ``GET /artifacts/{digest}``."""

    def __init__(self, catalog: Catalog, models: ModelStore, artifacts: ArtifactBytes) -> None:
        self._catalog = catalog
        self._models = models
        self._artifacts = artifacts
        self._listed: tuple[object, object] | None = None
        self._list = Answer(b"[]", JSON, "none")

    def routes(self) -> list[BaseRoute]:
        """Where these answers are found."""
        return [
            Route("/models", self.models),
            Route("/artifacts/{digest}", self.artifact),
        ]

    async def models(self, _request: Request) -> Response:
        """Every model that is served, as JSON, with an ETag that changes when a model does."""
        entries = self._catalog.entries
        shown = entries, self._catalog.indexes
        if self._listed is None or any(map(operator.is_not, shown, self._listed)):
            indexes = await run_in_threadpool(self._indexes)
            body = msgspec.json.encode([_listed(entry, indexes) for entry in entries])
            tag = hashlib.sha256(body).hexdigest()
            self._list = Answer(body, JSON, tag, {"cache-control": "no-cache"})
            # Without the store the versions are missing: ask it again next time.
            self._listed = None if indexes is None else shown
        return self._list

    async def artifact(self, request: Request) -> Response:
        """The artifact with this digest: its ETag is the digest, and it never changes."""
        digest = request.path_params["digest"]
        if not _DIGEST.fullmatch(digest):
            raise RequestError(f"digest is {digest[:80]!r}: 64 hexadecimal digits are needed")
        headers = {
            **download(f"{digest[:12]}.zip"),
            "cache-control": _FOR_EVER,
            "accept-ranges": "bytes",
        }
        served = any(entry.digest == digest for entry in self._catalog.entries)
        if served and has_already(request.scope, digest):
            return Answer(b"", ARCHIVE, digest, headers)
        return RangedAnswer(await self._artifacts.get(digest), ARCHIVE, digest, headers)

    def _indexes(self) -> dict[str, ModelIndex] | None:
        try:
            return self._models.indexes()
        except StoreError as error:
            logger.warning("GET /models answers without versions: %s", error)
            return None


def download(filename: str) -> dict[str, str]:
    """The header that has a browser save an answer under this name."""
    return {"content-disposition": f'attachment; filename="{filename}"'}


def _listed(entry: Entry, indexes: dict[str, ModelIndex] | None) -> ListedModel:
    manifest, slug = entry.manifest, entry.manifest.key.slug
    index = indexes.get(slug) if indexes is not None else None
    versions = [] if index is None else index.versions
    return ListedModel(
        key=manifest.key,
        slug=slug,
        digest=entry.digest,
        number=entry.number,
        samples=manifest.samples,
        since=manifest.since,
        at=manifest.at,
        errors=manifest.errors,
        features=manifest.features,
        components=manifest.components,
        experts=manifest.experts,
        machine=manifest.machine,
        versions=None
        if indexes is None
        else [ListedVersion(one.digest, one.at, one.samples, one.held) for one in versions],
        **({} if index is None else _state(index)),
    )


def _state(index: ModelIndex) -> dict[str, Any]:
    return {
        "pinned": index.pinned,
        "held": index.held_since is not None,
        "held_back": index.held_back,
        "rollbacks": index.rollbacks,
    }
