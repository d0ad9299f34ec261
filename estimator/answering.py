"""From the bytes of a power request to the bytes of its answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from estimator.answers import encode_answer, encode_refusal
from estimator.arrays import Floats
from estimator.catalog import Entry, Query
from estimator.errors import NoModelError, RequestError
from estimator.frozen import horizon_for_age
from estimator.machine import MachineSpec
from estimator.mending import mend, quoted
from estimator.requests import PowerRequest, UnreadableError, decode_request
from estimator.sharing import ends_with_node, share, watts_per_rate
from estimator.vocabulary import ABS_POWER, DYN_POWER, SOURCE_COMPONENTS, canonical_source

MOST_CHOICES: Final = 256
"""So many choices of a model are remembered; Kepler makes four."""


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


class _Choice(NamedTuple):
    """A model chosen for requests of one kind, or why there is none."""

    entry: Entry | None
    reason: str
    columns: NDArray[np.intp]
    weights: Floats
    core_ratio: float


class Answerer:
    """Answers power requests with the best model there is; any number of threads may ask.

    AbsPower is what the model says of each row. DynPower, as long as there is no model of its own,
    is what the AbsPower model says above idle: of the node where the last row is the node, shared
    among the rows before it (see `sharing`), else of each row. Rows of zeros get idle power and 0.
    """

    def __init__(
        self,
        models: Models,
        machine: MachineSpec | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._machine = machine
        self._clock = clock
        self._entries: tuple[Entry, ...] = ()
        self._choices: dict[tuple[object, ...], _Choice] = {}

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
        if choice.entry is None:
            message = "; ".join([*request.complaints, choice.reason])
            return Answer(_zeros(request, message), count, problem or "no_model")
        components = choice.entry.manifest.components
        watts = self._watts(choice.entry, choice, request)
        return Answer(encode_answer(components, watts, message, choice.core_ratio), count, problem)

    def _watts(self, entry: Entry, choice: _Choice, request: PowerRequest) -> Floats:
        """Watts [K, C] of the request's rows."""
        model = entry.model
        rows = request.rows[:, choice.columns]
        horizon = self._horizon(model.at)
        if request.output_type == entry.manifest.key.output_type:
            return model.predict_many(rows, horizon)
        if not ends_with_node(rows):
            return np.maximum(model.predict_many(rows, horizon) - model.idle, 0.0)
        node = model.predict_many(rows[-1:], horizon)[0]
        return share(np.maximum(node - model.idle, 0.0), rows, choice.weights)

    def _horizon(self, at: int) -> int:
        """The horizon of a model's age, to the second."""
        return _horizon_of(int(self._clock() - at / 1000))

    def _choose(self, request: PowerRequest) -> _Choice:
        """The model for requests like this one; asked anew when the models have changed."""
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
            choice = choices[kind] = self._select(request)
        return choice

    def _select(self, request: PowerRequest) -> _Choice:
        query = Query(
            metrics=request.metrics,
            output_type=request.output_type,
            source=canonical_source(request.source),
            machine=self._machine,
            trainer_name=request.trainer_name,
            filter=request.filter,
        )
        try:
            return self._chosen(self._ask(query), request.metrics)
        except (NoModelError, RequestError) as error:
            return _Choice(None, str(error), np.empty(0, np.intp), np.empty(0), 1.0)

    def _ask(self, query: Query) -> Entry:
        try:
            return self._models.select(query)
        except NoModelError:
            if query.output_type != DYN_POWER:
                raise
        return self._models.select(msgspec.structs.replace(query, output_type=ABS_POWER))

    def _chosen(self, entry: Entry, metrics: tuple[str, ...]) -> _Choice:
        manifest = entry.manifest
        missing = [feature for feature in manifest.features if feature not in metrics]
        if missing:
            raise NoModelError(f"metrics: the model needs {quoted(missing)} too")
        columns = np.array([metrics.index(feature) for feature in manifest.features], np.intp)
        weights = watts_per_rate(manifest.lines, manifest.features, manifest.components)
        return _Choice(entry, "", columns, weights, core_ratio(self._machine, manifest.machine))


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
