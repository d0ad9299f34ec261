"""The versions of one model: which there are, and which one is to be current."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.errors import MisuseError, RequestError
from estimator.model_key import ModelKey
from estimator.storage.model_index import ModelIndex, Version, find_version, version_before
from estimator.storage.model_store import ModelStore
from server.monitoring.verdict import Wrong, wrong
from server.web.body import read_body
from server.web.writing import Writers

_SLUG: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}")
_BODY_BYTES: Final = 4096


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request: the beginning of a version's digest, that of one version only."""

    version: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,64}$")] | None = None


class ShownVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version that is kept; ``at`` (Unix ms) is the time of its last sample."""

    digest: str
    at: int
    samples: int
    current: bool
    held: bool
    wrong: Wrong | None
    errors: dict[str, dict[str, dict[str, float | None]]]


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of one model, the oldest version first, and why the current one is.

    ``pinned``: a person keeps it current. ``held_since`` (Unix ms of event time): the gate does.
    """

    slug: str
    key: ModelKey
    current: str
    pinned: bool
    held_since: int | None
    held_back: int
    rollbacks: dict[str, int]
    rolled_back_at: int | None
    versions: list[ShownVersion]


class VersionsApi:
    """``/models/{key}/versions``, ``rollback`` and ``pin``: as `wattstream models` does it.

    The key is a model's slug. What changes here is served as soon as the catalog is refreshed.
    """

    def __init__(self, models: ModelStore, writers: Writers) -> None:
        self._models = models
        self._writers = writers

    def routes(self) -> list[BaseRoute]:
        """Where these answers are found."""
        return [
            Route("/models/{key}/versions", self.versions, methods=["GET"]),
            Route("/models/{key}/rollback", self.rollback, methods=["POST"]),
            Route("/models/{key}/pin", self.pin, methods=["POST", "DELETE"]),
        ]

    async def versions(self, request: Request) -> Response:
        """Every version that is kept, with its errors."""
        slug = _slug(request)
        return _answer(await run_in_threadpool(self._models.index, slug))

    async def rollback(self, request: Request) -> Response:
        """Make a version current and pin it: the one named, or the one before the current."""
        return await self._change(request, self._roll_back)

    async def pin(self, request: Request) -> Response:
        """Keep a version current whatever is learned: the one named, or the current.

        DELETE: have new versions become current again.
        """
        return await self._change(request, self._pin if request.method == "POST" else self._unpin)

    async def _change(
        self, request: Request, change: Callable[[str, str | None], None]
    ) -> Response:
        self._writers.check(request)
        slug = _slug(request)
        chosen = _chosen(request, await read_body(request.scope, request.receive, _BODY_BYTES))

        def changed() -> ModelIndex:
            change(slug, chosen.version)
            return self._models.index(slug)

        try:
            return _answer(await run_in_threadpool(changed))
        except MisuseError as error:  # The beginning of several digests.
            raise RequestError(str(error)) from error

    def _roll_back(self, slug: str, name: str | None) -> None:
        index = self._models.index(slug)
        chosen = version_before(index) if name is None else find_version(index, name)
        self._models.roll_back(slug, chosen.digest)

    def _pin(self, slug: str, name: str | None) -> None:
        index = self._models.index(slug)
        chosen = index.served if name is None else find_version(index, name)
        self._models.pin(slug, chosen.digest)

    def _unpin(self, slug: str, name: str | None) -> None:
        if name is not None:
            raise RequestError(f"version is {name!r}: none is named where the pin is taken away")
        self._models.unpin(slug)


def _slug(request: Request) -> str:
    slug = str(request.path_params["key"])
    if not _SLUG.fullmatch(slug):
        raise RequestError(f"key is {slug[:80]!r}: letters, digits and _.- make a model's name")
    return slug


def _chosen(request: Request, body: bytes) -> Chosen:
    if not body:
        return Chosen()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"content-type is {kind[:80]!r}: application/json is needed")
    try:
        return msgspec.json.decode(body, type=Chosen)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        shown = body[:80].decode("utf-8", "replace")
        raise RequestError(f"body is {shown}: {error or 'nested too deep'}") from error


def _answer(index: ModelIndex) -> Response:
    shown = Versions(
        slug=index.key.slug,
        key=index.key,
        current=index.current,
        pinned=index.pinned,
        held_since=index.held_since,
        held_back=index.held_back,
        rollbacks=index.rollbacks,
        rolled_back_at=index.rolled_back_at,
        versions=[_shown(one, index) for one in index.versions],
    )
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(shown), headers=headers, media_type="application/json")


def _shown(version: Version, index: ModelIndex) -> ShownVersion:
    return ShownVersion(
        digest=version.digest,
        at=version.at,
        samples=version.samples,
        current=version.digest == index.current,
        held=version.held,
        wrong=wrong(version.errors),
        errors=version.errors,
    )
