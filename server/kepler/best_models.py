"""``GET /best-models``: the name of the best model of every feature group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.choosing.catalog import Catalog, Entry
from estimator.choosing.choice import chosen_by
from estimator.choosing.model_filter import Filterable, parse_filter
from estimator.choosing.shelf import OWN_TRAINER
from estimator.errors import RequestError
from estimator.vocabulary import (
    FEATURE_GROUPS,
    OUTPUT_TYPES,
    SOURCE_COMPONENTS,
    canonical_source,
)

Ranked = Mapping[tuple[str, str, str], Filterable]
"""Energy source, output type and feature group to the models of all machines, best first."""


class BestModels:
    """Answers ``GET /best-models`` from the catalog, ranked once per state of it.

    Who asks has no meter: what is best is so on machines that models have not learned from, as far
    as that is known.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._entries: tuple[Entry, ...] = ()
        self._ranked: Ranked = {}

    def routes(self) -> list[BaseRoute]:
        """Where the answer is found."""
        return [Route("/best-models", self.best_models)]

    async def best_models(self, request: Request) -> Response:
        """By output type and feature group the best model's name, as kepler-model-server has it.

        Parameters, all optional: energy-source (default RAPL), output-type, feature-group,
        node-type (0 and -1: any), filter. 400 for values that make no sense.
        """
        wanted = _Wanted(request.query_params)
        entries = self._catalog.entries
        if entries is not self._entries:
            self._ranked = await run_in_threadpool(_rank, entries)
            self._entries = entries
        body = msgspec.json.encode(wanted.best_of(self._ranked))
        return Response(body, media_type="application/json")


class _Wanted:
    """The request's parameters, checked."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.source = canonical_source(given.get("energy-source"))
        _check("energy-source", self.source, SOURCE_COMPONENTS)
        self.output_types = _chosen("output-type", given, OUTPUT_TYPES)
        self.groups = _chosen("feature-group", given, tuple(FEATURE_GROUPS))
        self.number = _number(given.get("node-type") or "-1")
        self.filter = parse_filter(given.get("filter", ""))

    def best_of(self, ranked: Ranked) -> dict[str, dict[str, str]]:
        """The best models' names by output type and group; groups without a model are left out."""
        best: dict[str, dict[str, str]] = {}
        for output_type in self.output_types:
            best[output_type] = {}
            for group in self.groups:
                among = ranked.get((self.source, output_type, group))
                found = self._first(among) if among is not None else None
                if found is not None:
                    best[output_type][group] = f"{_trainer(found)}_{found.number}"
        return best

    def _first(self, among: Filterable) -> Entry | None:
        passing = np.flatnonzero(among.passing(self.filter)).tolist()
        entries = (among.entries[place] for place in passing)
        return next((one for one in entries if self.number in (-1, 0, one.number)), None)


def _trainer(entry: Entry) -> str:
    """By what name the model is called; an imported one by its own trainer's."""
    return entry.manifest.experts[0] if entry.manifest.key.imported else OWN_TRAINER


def _rank(entries: Sequence[Entry]) -> Ranked:
    ranked: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda one: (one.transfer_error, one.tie)):
        key = entry.manifest.key
        place = canonical_source(key.source), key.output_type, key.feature_group
        ranked.setdefault(place, []).append(entry)
    return {
        place: Filterable([(entry, chosen_by(entry.manifest)) for entry in found])
        for place, found in ranked.items()
    }


def _chosen(name: str, given: Mapping[str, str], known: tuple[str, ...]) -> tuple[str, ...]:
    value = given.get(name)
    if not value:
        return known
    _check(name, value, known)
    return (value,)


def _check(name: str, value: str, known: Mapping[str, object] | Sequence[str]) -> None:
    if value not in known:
        raise RequestError(f"{name} is {value[:80]!r}: known are {', '.join(known)}")


def _number(text: str) -> int:
    try:
        number = int(text[:20])
    except ValueError:
        number = -2
    if number < -1:
        raise RequestError(f"node-type is {text[:80]!r}: a number from 1, or -1 for any, is needed")
    return number
