"""``GET /overview``: the models that are worst, for the page; a few of however many there are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.choosing.catalog import Catalog, Entry
from estimator.model_key import ModelKey
from estimator.storage.model_index import ModelIndex
from server.monitoring.last_status import LastStatus
from server.monitoring.status import LearnerStatus
from server.monitoring.verdict import BAD_PERCENT, LEARNED_SECONDS, Wrong, verdict
from server.web.conditional import Answer
from server.web.parameters import count, text

SHOWN: Final = 50
MOST: Final = 500


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A model and how wrong it is. Times are Unix ms of event time.

    ``wrong`` is null where nothing has been estimated yet. ``bad_since``: each version from then
    on was bad; with ``at_least`` there is none before it that could be judged. ``learning_since``:
    it has learned since then, which is too short to call it bad. ``versions`` counts those that are
    kept. ``state`` is ``pinned``, ``held`` (since ``held_since``) or empty: new versions become
    current.
    """

    slug: str
    key: ModelKey
    digest: str
    samples: int
    at: int
    wrong: Wrong | None
    bad: bool
    bad_since: int | None
    at_least: bool
    learning_since: int | None
    errors: dict[str, dict[str, dict[str, float | None]]]
    versions: int
    state: str
    held_since: int | None
    held_back: int
    rollbacks: int


class Drifts(msgspec.Struct, frozen=True):
    """How often a model has drifted, on whatever partition, and when last (Unix seconds)."""

    count: int
    at: float


class OverviewApi:
    """Judges each model once per change of its versions."""

    def __init__(self, catalog: Catalog, last: LastStatus) -> None:
        self._catalog = catalog
        self._last = last
        self._judged: tuple[object, object] = (None, None)
        self._rows: Sequence[Row] = ()
        self._known: dict[str, tuple[object, object, Row]] = {}

    def routes(self) -> list[BaseRoute]:
        """Where the answer is found."""
        return [Route("/overview", self.overview, methods=["GET"])]

    async def overview(self, request: Request) -> Response:
        """The models whose names contain ``search``, at most ``limit``, the worst first."""
        search = text(request.query_params, "search").lower()
        limit = count(request.query_params, "limit", SHOWN, MOST)
        rows = await self._judge()
        learner = (await self._last.status_soon()).learner
        body = await run_in_threadpool(_answer, rows, search, limit, learner)
        tag = hashlib.sha256(body).hexdigest()
        return Answer(body, "application/json", tag, {"cache-control": "no-cache"})

    async def _judge(self) -> Sequence[Row]:
        entries, indexes = self._catalog.entries, self._catalog.indexes
        if self._judged[0] is not entries or self._judged[1] is not indexes:
            known = self._known
            self._known = await run_in_threadpool(_judged, entries, indexes, known)
            self._rows = sorted((row for _, _, row in self._known.values()), key=_badness)
            self._judged = entries, indexes
        return self._rows


def _judged(
    entries: Sequence[Entry],
    indexes: Mapping[str, ModelIndex],
    known: Mapping[str, tuple[object, object, Row]],
) -> dict[str, tuple[object, object, Row]]:
    """Each model's row by slug, with what it was made from; those of before where that is."""
    found: dict[str, tuple[object, object, Row]] = {}
    for entry in entries:
        slug = entry.manifest.key.slug
        index, before = indexes.get(slug), known.get(slug)
        if before is None or before[0] is not entry or before[1] is not index:
            before = entry, index, _row(slug, entry, index)
        found[slug] = before
    return found


def _row(slug: str, entry: Entry, index: ModelIndex | None) -> Row:
    manifest = entry.manifest
    errors, said = manifest.errors, verdict([manifest])
    if index is not None:
        # What was learned last has been asked about the last samples, even if it is held back.
        newest = list(reversed(index.versions))
        errors, said = newest[0].errors, verdict(newest)
    return Row(
        slug=slug,
        key=manifest.key,
        digest=entry.digest,
        samples=manifest.samples,
        at=manifest.at,
        wrong=said.wrong,
        bad=said.bad_since is not None,
        bad_since=said.bad_since,
        at_least=said.at_least,
        learning_since=said.learning_since,
        errors=errors,
        versions=1 if index is None else len(index.versions),
        state="" if index is None else index.state,
        held_since=None if index is None else index.held_since,
        held_back=0 if index is None else index.held_back,
        rollbacks=0 if index is None else sum(index.rollbacks.values()),
    )


def _badness(row: Row) -> tuple[bool, bool, float, str]:
    is_learning = row.learning_since is not None
    return not row.bad, is_learning, -row.wrong.percent if row.wrong else 0.0, row.slug


def _answer(rows: Sequence[Row], search: str, limit: int, learner: LearnerStatus | None) -> bytes:
    found = [row for row in rows if search in row.slug.lower()] if search else rows
    shown = found[:limit]
    return msgspec.json.encode(
        {
            "total": len(rows),
            "bad": sum(row.bad for row in rows),
            "bad_percent": BAD_PERCENT,
            "learning": sum(row.learning_since is not None for row in rows),
            "learned_seconds": LEARNED_SECONDS,
            "found": len(found),
            "models": shown,
            "drifts": _drifts(learner, {row.key for row in shown}),
        }
    )


def _drifts(learner: LearnerStatus | None, keys: AbstractSet[ModelKey]) -> dict[str, Drifts]:
    """By slug those of these models that have drifted."""
    found: dict[str, Drifts] = {}
    for shard in learner.shards if learner is not None else ():
        for one in shard.drifts:
            if one.at is not None and one.key in keys:
                before = found.get(one.key.slug, Drifts(0, one.at))
                found[one.key.slug] = Drifts(before.count + one.count, max(before.at, one.at))
    return found
