"""From the bytes of a power request to the bytes of its answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.frozen import horizon_for_age
from estimator.artifacts.serving import ServedModel
from estimator.choosing.catalog import Entry, Query
from estimator.errors import NoModelError, RequestError
from estimator.kepler_socket.answers import encode_answer, encode_refusal, encode_row
from estimator.kepler_socket.mending import mend, quoted
from estimator.kepler_socket.requests import PowerRequest, UnreadableError, decode_request
from estimator.kepler_socket.sharing import ends_with_node, share, watts_per_rate
from estimator.machine import MachineSpec
from estimator.system.guest import sources_for
from estimator.vocabulary import ABS_POWER, DYN_POWER, SOURCE_COMPONENTS, canonical_source

MOST_CHOICES: Final = 256
"""So many choices of a model are remembered; Kepler makes four."""


MOST_REMEMBERED: Final = 4096
"""Characters of a request's texts: of longer ones the choice is made each time."""

_log = logging.getLogger(__name__)


class Models(Protocol):
    """Where models are chosen: `catalog.Catalog`."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The models that there are; another tuple whenever they have changed."""
        ...

    def select(self, query: Query) -> Entry:
        """The best model for the query; ``NoModelError`` or ``RequestError`` say why none."""
        ...


class Answer(NamedTuple):
    """What goes back. ``body`` is empty where to hang up is better than any answer.

    ``problem`` is what kind of thing was wrong: "" or "unreadable", "invalid", "no_model".
    """

    body: bytes
    rows: int
    problem: str


class _Choice:
    """A model chosen for requests of one kind, with what its answers have in common.

    ``columns`` are the places of the model's features in a row of the request, ``note`` is what
    the client must be told of the model.
    """

    def __init__(
        self,
        entry: Entry,
        metrics: tuple[str, ...],
        own: MachineSpec | None,
        note: str = "",
    ) -> None:
        manifest = entry.manifest
        missing = [feature for feature in manifest.features if feature not in metrics]
        if missing:
            raise NoModelError(f"metrics: the model needs {quoted(missing)} too")
        self.note = note
        self.model = entry.model
        self.components = tuple(manifest.components)
        self.columns = [metrics.index(feature) for feature in manifest.features]
        self.weights = watts_per_rate(manifest.lines, manifest.features, manifest.components)
        # A model of DynPower has no idle power in it: its answer to zeros is 0.
        self._idle = entry.model.idle
        self.core_ratio = core_ratio(own, manifest.machine)
        self._horizon = -1
        self._served: ServedModel | None = None

    def served(self, horizon: int) -> ServedModel:
        """The model at that horizon; made anew whenever the horizon has changed."""
        served = self._served
        if served is None or horizon != self._horizon:
            served = ServedModel(self.model, horizon)
            self._served, self._horizon = served, horizon
        return served

    def one(self, row: Sequence[float], horizon: int, dynamic: bool) -> list[float]:
        """Watts [C] of one row of the request."""
        watts = self.served(horizon).predict_one([row[at] for at in self.columns])
        if not dynamic:
            return watts
        return [one - idle for one, idle in zip(watts, self._idle.tolist(), strict=True)]

    def many(self, rows: Floats, horizon: int, dynamic: bool) -> Floats:
        """Watts [K, C] of the request's rows."""
        served = self.served(horizon)
        rows = rows[:, self.columns]
        if not dynamic:
            return served.predict_many(rows)
        if not ends_with_node(rows):
            return np.maximum(served.predict_many(rows) - self._idle, 0.0)
        node = np.array(served.predict_one(rows[-1].tolist()))
        return share(np.maximum(node - self._idle, 0.0), rows, self.weights)


class Answerer:
    """Answers power requests with the best model there is; any number of threads may ask.

    AbsPower is what the model says of each row. DynPower is what its own model says, and where
    there is none what the AbsPower model says above idle: of the node where the last row is the
    node, shared among the rows before it (see `sharing`), else of each row. Rows of zeros get idle
    power and 0.
    ``unmetered`` are the energy sources that this machine cannot measure: no model has learned from
    it what they say. On a ``guest`` models of guests answer for RAPL, as long as there are any.
    """

    def __init__(
        self,
        models: Models,
        machine: MachineSpec | None = None,
        clock: Callable[[], float] = time.time,
        fallback: Models | None = None,
        unmetered: Collection[str] = (),
        guest: bool = False,
    ) -> None:
        self._models = models
        self._guest = guest
        self._fallback = fallback
        self._machine = machine
        self._unmetered = unmetered
        self._clock = clock
        self._entries: tuple[Entry, ...] = ()
        self._choices: dict[tuple[object, ...], _Choice | str] = {}

    def move(self, machine: MachineSpec) -> None:
        """Choose by another machine from now on."""
        self._machine = machine
        # What has been chosen is chosen anew with the next request.
        self._entries = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The models that there are now."""
        return self._models.entries

    def answer(self, data: bytes) -> bytes:
        """The answer to the request in ``data``, one JSON object; see `respond`."""
        return self.respond(data).body

    def respond(self, data: bytes) -> Answer:
        """Answer the request with as many watts in each list as it has rows, whatever it is.

        What is wrong with it stands in ``msg``. Where its rows cannot even be counted there is no
        such answer, and Kepler would die of a shorter one: a request for DynPower gets none.
        """
        try:
            request = decode_request(data) or mend(data)
        except UnreadableError as error:
            body = b"" if DYN_POWER.encode() in data else encode_refusal(str(error))
            return Answer(body, 0, "unreadable")
        count = len(request.rows)
        message = "; ".join(request.complaints)
        problem = "invalid" if message else ""
        if not request.metrics or not request.output_type:
            return Answer(_zeros(request, message), count, problem)
        choice = self._choose(request)
        if isinstance(choice, str):
            message = "; ".join([*request.complaints, choice])
            return Answer(_zeros(request, message), count, problem or "no_model")
        horizon = self._horizon(choice.model.at)
        dynamic = request.output_type == DYN_POWER
        if choice.note:
            message = "; ".join([*request.complaints, choice.note])
            problem = problem or "no_model"
        elif request.only is not None:
            watts = choice.one(request.only, horizon, dynamic)
            return Answer(encode_row(choice.components, watts, choice.core_ratio), count, "")
        watts_of_rows = choice.many(request.rows, horizon, dynamic)
        body = encode_answer(choice.components, watts_of_rows, message, choice.core_ratio)
        return Answer(body, count, problem)

    def _horizon(self, at: int) -> int:
        """The horizon of a model's age, to the second."""
        return _horizon_of(int(self._clock() - at / 1000))

    def _choose(self, request: PowerRequest) -> _Choice | str:
        """The model for requests like this one, or why there is none.

        Asked anew when the models have changed.
        """
        entries = self._models.entries
        if entries is not self._entries or len(self._choices) >= MOST_CHOICES:
            self._choices, self._entries = {}, entries
        choices = self._choices
        kind = (
            request.metrics,
            request.output_type,
            request.source,
            request.trainer_name,
            request.filter,
        )
        choice = choices.get(kind)
        if choice is None:
            choice = self._select(request)
            if _characters(request) <= MOST_REMEMBERED:
                choices[kind] = choice
        return choice

    def _select(self, request: PowerRequest) -> _Choice | str:
        source = canonical_source(request.source)
        query = Query(
            metrics=request.metrics,
            output_type=request.output_type,
            source=source,
            machine=self._machine,
            trainer_name=request.trainer_name,
            filter=request.filter,
            unmetered=source in self._unmetered,
        )
        try:
            entry = self._ask(query)
            return _Choice(entry, request.metrics, self._machine, _imported_note(entry))
        except RequestError as error:
            return str(error)
        except NoModelError as error:
            return self._stand_in(query, str(error))

    def _ask(self, query: Query) -> Entry:
        """The best model of the best energy source that has any."""
        *better, last = sources_for(query.source, self._guest)
        for source in better:
            try:
                return _ask(self._models, msgspec.structs.replace(query, source=source))
            except NoModelError:
                continue
        return _ask(self._models, msgspec.structs.replace(query, source=last))

    def _stand_in(self, query: Query, reason: str) -> _Choice | str:
        """What answers where no model does: imported weights, else 0 W."""
        # Who names a trainer or a filter wants no other model than that.
        if self._fallback is not None and not query.trainer_name and not query.filter:
            try:
                entry = _ask(self._fallback, query)
                note = f"imported weights of {entry.manifest.machine.node_type} answer: {reason}"
                return _Choice(entry, query.metrics, self._machine, note)
            except NoModelError as error:
                _log.debug("no imported weights either: %s", error)
        return f"no model, so 0 W stand for what is unknown: {reason}"


def _ask(models: Models, query: Query) -> Entry:
    """The best model; for DynPower, where there is none, that for AbsPower."""
    try:
        return models.select(query)
    except NoModelError:
        if query.output_type != DYN_POWER:
            raise
    return models.select(msgspec.structs.replace(query, output_type=ABS_POWER))


def _imported_note(entry: Entry) -> str:
    """What the client is told of a model that was not learned here."""
    key = entry.manifest.key
    return f"imported {key.imported} of {key.node_type} answers" if key.imported else ""


def _characters(request: PowerRequest) -> int:
    """How long the texts are by which a choice would be remembered."""
    texts = (*request.metrics, request.source or "", request.trainer_name, request.filter)
    return sum(map(len, texts))


@lru_cache(maxsize=1024)
def _horizon_of(age_seconds: int) -> int:
    return horizon_for_age(age_seconds)


def core_ratio(own: MachineSpec | None, learned: MachineSpec) -> float:
    """By what Kepler scales idle power: this machine's cores per core of the model's machine.

    1 where either is unknown, and where the model's machine is the smaller one.

    >>> core_ratio(MachineSpec(cores=8), MachineSpec(cores=16))
    0.5
    >>> core_ratio(MachineSpec(cores=8), MachineSpec(cores=4)), core_ratio(None, MachineSpec())
    (1.0, 1.0)
    """
    if own is None or not 0 < own.cores <= learned.cores:
        return 1.0
    return own.cores / learned.cores


def _zeros(request: PowerRequest, message: str) -> bytes:
    """Nothing, for every row and every component that the source would have."""
    components = SOURCE_COMPONENTS.get(canonical_source(request.source), ("platform",))
    return encode_answer(components, np.zeros((len(request.rows), len(components))), message)
