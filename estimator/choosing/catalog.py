"""Which model answers a request: the models of a store in memory, and Kepler's rules of choice."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from estimator.choosing.choice import Choice, Entry, Query
from estimator.choosing.model_filter import parse_filter
from estimator.choosing.shelf import Shelf, listed, quoted
from estimator.errors import (
    DamagedError,
    NoModelError,
    NotFoundError,
    RequestError,
    StoreError,
)
from estimator.storage.model_source import ModelSource
from estimator.storage.model_store import ModelIndex
from estimator.vocabulary import OUTPUT_TYPES, canonical_source

__all__: Final = ["Catalog", "Entry", "Query"]

_STORE: Final = "/"
"""In the place of a slug, where the store itself is meant."""

_log = logging.getLogger(__name__)


class Catalog:
    """The models of a store, ready to be chosen from; one thread refreshes, many may choose.

    ``indexes`` are those of the last refresh, by slug: what versions there are beside the entries.
    """

    def __init__(self, models: ModelSource) -> None:
        self._models = models
        self._shelves: dict[tuple[str, str], Shelf] = {}
        self._warned: dict[str, str] = {}
        self._succeeded = False
        self._error: str | None = None
        self.entries: tuple[Entry, ...] = ()
        self.indexes: Mapping[str, ModelIndex] = {}
        self.last_error: str | None = None

    def adopt(self, entries: Sequence[Entry]) -> None:
        """Begin with these models, until a refresh has found what there is."""
        self._shelves = _shelves(entries)
        self.entries = tuple(entries)

    def refresh(self) -> bool:
        """Read what is new in the store; True if the entries changed.

        A model whose current version is damaged keeps the one before it. While the store cannot be
        read all stay, and ``last_error`` says why; ``StoreError`` is raised only if it never could.
        """
        self._error = None
        try:
            indexes = self._models.indexes()
        except StoreError as error:
            self.last_error = str(error)
            if not self._succeeded:
                raise
            self._failed(error)
            return False
        have = {entry.manifest.key.slug: entry for entry in self.entries}
        found = {slug: self._entry(index, have.get(slug)) for slug, index in indexes.items()}
        found.update((slug, have.get(slug)) for slug in self._models.unreadable)
        entries = tuple(entry for _, entry in sorted(found.items()) if entry is not None)
        self._succeeded, self.last_error = True, self._error
        if indexes != self.indexes:
            self.indexes = indexes
        if self._error is None:
            self._warned.pop(_STORE, None)
        if len(entries) == len(self.entries) and all(map(_same, entries, self.entries)):
            return False
        self.adopt(entries)
        return True

    def _entry(self, index: ModelIndex, have: Entry | None) -> Entry | None:
        """The newest readable version up to the current one; failing that, what there was."""
        for digest in _candidates(index):
            if have is not None and have.digest == digest:
                return have
            try:
                artifact = self._models.artifact(digest)
                number = self._models.number(index.key.node_type)
            except (DamagedError, NotFoundError) as error:
                self._warn_once(index.key.slug, f"{error}; the version before it is used")
                continue
            except StoreError as error:
                self._failed(error)
                return have
            self._warned.pop(index.key.slug, None)
            return Entry(digest, artifact.manifest, artifact.model, number)
        return have

    def _failed(self, error: StoreError) -> None:
        self._error = str(error)
        self._warn_once(_STORE, f"models stay as they are: {error}")

    def _warn_once(self, slug: str, reason: str) -> None:
        if self._warned.get(slug) != reason:
            self._warned[slug] = reason
            _log.warning("%s", reason)

    def select(self, query: Query) -> Entry:
        """The model that `choose` chooses."""
        return self.choose(query).entry

    def choose(self, query: Query) -> Choice:
        """The best model for the query; ``NoModelError`` or ``RequestError`` say why none.

        All features of a model must be among ``metrics``. Of the models of the machine's node
        type, or of the most similar one, the one with the least `Entry.error` is chosen; of all,
        where nothing is said of the machine.
        """
        if query.output_type not in OUTPUT_TYPES:
            known = ", ".join(OUTPUT_TYPES)
            raise RequestError(f"output_type is {quoted(query.output_type)}: known are {known}")
        wanted = parse_filter(query.filter)
        source = canonical_source(query.source)
        shelf = self._shelves.get((source, query.output_type))
        if shelf is None:
            raise NoModelError(
                f"source is {quoted(source)} and output_type {query.output_type}: "
                f"there are models of {listed(f'{one} {other}' for one, other in self._shelves)}"
            )
        return shelf.choose(query, wanted)


def _candidates(index: ModelIndex) -> list[str]:
    """The current version, and then those before it that were ever current, newest first."""
    digests = [version.digest for version in index.versions]
    before = index.versions[: digests.index(index.current)]
    return [index.current, *(one.digest for one in reversed(before) if not one.held)]


def _same(one: Entry, other: Entry) -> bool:
    return one.digest == other.digest and one.number == other.number


def _shelves(entries: Sequence[Entry]) -> dict[tuple[str, str], Shelf]:
    sorted_out: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        key = entry.manifest.key
        sorted_out.setdefault((canonical_source(key.source), key.output_type), []).append(entry)
    return {place: Shelf(found) for place, found in sorted_out.items()}
