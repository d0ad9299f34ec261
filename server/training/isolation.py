"""What a request says of DynPower: how power above idle is told from the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from estimator.errors import MisuseError, RequestError, WattstreamError
from estimator.isolation.choose import DEFAULT, make_isolator
from estimator.isolation.hints import Hints
from estimator.isolation.isolator import Isolator, TrainerIsolator
from estimator.isolation.profile import IdleProfile
from server.training.request import TrainerSpec, TrainRequest
from stream.analysis.idle_recording import IdleRecorder
from stream.analysis.training import learn_all
from stream.learning.learner import Pool
from stream.learning.shard import Shard
from stream.sources.prometheus_json import PrometheusJsonSource

IDLE: Final = "trainer.idle_prom_response"


class NamedHints(Hints):
    """Hints that look for their parts in workloads' names, where only ids are learned from.

    >>> NamedHints({"c1": "c1/web-0/web/shop"}, background=["shop"]).mask(["c1", "c2"]).tolist()
    [True, False]
    """

    def __init__(
        self,
        names: Mapping[str, str],
        background: tuple[str, ...] = (),
        target: tuple[str, ...] = (),
    ) -> None:
        super().__init__(background, target)
        self._names = names

    def _is_background(self, name: str) -> bool:
        return super()._is_background(self._names.get(name, name))


def check_isolator(wanted: TrainerSpec) -> str:
    """The isolator's name; ``RequestError`` for one, or for arguments, that there are not."""
    name = wanted.isolator or DEFAULT
    try:
        make_isolator(name, wanted.isolator_args or {})
    except MisuseError as error:
        # It names the isolator or the arguments; what is in these, by its own name.
        place = "trainer." if str(error).startswith("isolator") else "trainer.isolator_args."
        raise RequestError(f"{place}{error}") from error
    if name == "profile" and not _has_idle(wanted):
        raise RequestError(f"{IDLE} is missing: isolator 'profile' needs it")
    return name


class Isolation(NamedTuple):
    """An isolator, and the node types that it can isolate; None stands for all."""

    isolator: Isolator
    node_types: frozenset[str] | None = None

    def check(self, node_types: Iterable[str]) -> None:
        """``WattstreamError`` if nothing was recorded as idle of one of these node types."""
        for name in sorted(node_types):
            if self.node_types is not None and name not in self.node_types:
                raise WattstreamError(
                    f"{IDLE} is of node type {', '.join(sorted(self.node_types))}, "
                    f"prom_response of {name}: isolator 'profile' needs the same"
                )


def isolation_of(request: TrainRequest, names: Mapping[str, str]) -> Isolation:
    """The isolator that the request asks for.

    ``names`` are those of workloads by id; they may be put there until they are asked for. What is
    recorded as idle is the profile of ``profile``, and says which workloads are background to
    ``trainer`` if no hints do. ``WattstreamError`` if it says nothing.
    """
    wanted = request.wanted
    name, arguments = check_isolator(wanted), wanted.isolator_args or {}
    if name == "profile":
        profiles = _profiles(request)
        return Isolation(make_isolator(name, arguments, profiles), frozenset(profiles))
    isolator = make_isolator(name, arguments)
    hints = isolator.hints
    if hints is None:
        return Isolation(isolator)
    background = hints.background
    if not background and not hints.target and _has_idle(wanted):
        background = _idle_workloads(request)
    return Isolation(TrainerIsolator(NamedHints(names, background, hints.target)))


def _has_idle(wanted: TrainerSpec) -> bool:
    return bytes(memoryview(wanted.idle_prom_response)[:5]) not in (b"", b"null")


def _idle_source(request: TrainRequest) -> PrometheusJsonSource:
    answer = request.wanted.idle_prom_response
    return PrometheusJsonSource(answer, machine=request.machine, shown=IDLE)


def _profiles(request: TrainRequest) -> dict[str, IdleProfile]:
    shard = Shard(0, Pool({}, {}), lambda *_: None)
    shard.learner = recorder = IdleRecorder()
    learn_all(_idle_source(request), shard)
    found = {profile.node_type: profile for profile in recorder.profiles()}
    if not found:
        raise WattstreamError(f"{IDLE} has no interval of usage with power beside it")
    return found


def _idle_workloads(request: TrainRequest) -> tuple[str, ...]:
    source = _idle_source(request)
    source.poll()
    source.close()
    return tuple(sorted(source.names))
