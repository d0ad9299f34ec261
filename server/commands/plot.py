"""Pictures of what was recorded, and of what models say of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from estimator.errors import MisuseError, WattstreamError
from estimator.settings import Settings
from estimator.vocabulary import FEATURE_GROUPS
from server.commands.output import progress
from server.commands.recorded import (
    READING,
    End,
    EnergySource,
    FeatureGroup,
    File,
    Nodes,
    Start,
    listed,
    recording_of,
)
from server.commands.writable import check_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stream.analysis.learned_samples import LearnedSamples
    from stream.analysis.recording import Recording
    from stream.sample import Sample

_log = logging.getLogger(__name__)

SETTINGS = (*READING, "experts")

_WORKLOADS: Final = 8


def run(
    settings: Settings,
    what: Annotated[str, typer.Argument(help="power, errors, features, shares, models or curves")],
    file: File = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write (png, svg, pdf); else WHAT.png"),
    ] = None,
    start: Start = None,
    end: End = None,
    nodes: Nodes = None,
    energy_source: EnergySource = None,
    feature_group: FeatureGroup = None,
    features: Annotated[
        str | None, typer.Option(help="Columns of a trace to learn from, by commas; else all known")
    ] = None,
    component: Annotated[
        str | None, typer.Option(help="Of shares: the component; else package or platform")
    ] = None,
    feature: Annotated[
        str, typer.Option(help="Of shares: what workloads' usage is measured by")
    ] = "bpf_cpu_time_ms",
) -> int:
    """Draw what was recorded: models learn it anew, every sample predicted before it is learned."""
    from stream.analysis.plots.figure import check_form, save
    from stream.analysis.samples_wanted import wanted_samples

    if what not in KINDS:
        raise MisuseError(f"plot {what!r} is not known; known are {', '.join(KINDS)}")
    path = output or Path(f"{what}.png")
    check_form(path)
    check_writable(path)
    named = listed("--features", features)
    with recording_of(settings, file, start, end, nodes, named) as recording:
        if what == _SHARES:
            figure = _shares(recording, component, feature)
        else:
            samples = wanted_samples(recording, energy_source, feature_group)
            groups = {"trace": tuple(sorted(named))} if named else dict(FEATURE_GROUPS)
            figure = _OF_SAMPLES[what](samples, settings, groups, recording.name)
    save(figure, path)
    _log.info("%s is drawn in %s", what, path)
    return 0


Groups = dict[str, tuple[str, ...]]


def _power(samples: list[Sample], settings: Settings, groups: Groups, name: str) -> Figure:
    from stream.analysis.plots.power import plot_power

    return plot_power(_learn(samples, settings.experts, groups, name).best(), name)


def _errors(samples: list[Sample], settings: Settings, groups: Groups, name: str) -> Figure:
    from stream.analysis.plots.errors import plot_errors

    return plot_errors(_learn(samples, settings.experts, groups, name).best(), name)


def _features(samples: list[Sample], _settings: Settings, _groups: Groups, name: str) -> Figure:
    from stream.analysis.plots.features import plot_features

    return plot_features(samples, name)


def _curves(samples: list[Sample], settings: Settings, groups: Groups, name: str) -> Figure:
    from stream.analysis.plots.curves import plot_curves

    return plot_curves(_learn(samples, settings.experts, groups, name).courses, samples, name)


def _models(samples: list[Sample], settings: Settings, groups: Groups, name: str) -> Figure:
    """All experts together, and where they are several each alone."""
    from stream.analysis.plots.models import plot_models

    several = len(settings.experts) > 1
    pools = {expert: (expert,) for expert in settings.experts if several and expert != "curves"}
    made = {"all" if several else settings.experts[0]: tuple(settings.experts), **pools}
    found = {word: _learn(samples, experts, groups, name).models for word, experts in made.items()}
    return plot_models(found, name)


def _shares(recording: Recording, component: str | None, feature: str) -> Figure:
    from stream.analysis.plots.shares import plot_shares
    from stream.analysis.shares import UsageByWorkload

    usage = UsageByWorkload(feature)
    samples: list[Sample] = []
    played = recording.play(samples.append, usage.see)
    if not samples:
        raise WattstreamError(f"{recording.name}: there are no samples: {played.words}")
    there = {name for sample in samples for name in sample.components}
    chosen = component or ("package" if "package" in there else "platform")
    if chosen not in there:
        raise MisuseError(f"--component is {chosen!r}: there are {', '.join(sorted(there))}")
    found = [
        usage.shares(samples, node, chosen, _WORKLOADS)
        for node in sorted({sample.node for sample in samples})
    ]
    title = f"{recording.name}: {chosen}, above its least by workload"
    return plot_shares(found, recording.names, title)


def _learn(
    samples: list[Sample], experts: tuple[str, ...], groups: Groups, name: str
) -> LearnedSamples:
    from stream.analysis.learned_samples import learn_samples
    from stream.learning.pools import pool

    with progress(f"learning {name}") as show:
        return learn_samples(samples, pool(experts, groups), show)


_OF_SAMPLES: Final[Mapping[str, Callable[[list[Sample], Settings, Groups, str], Figure]]] = {
    "power": _power,
    "errors": _errors,
    "features": _features,
    "models": _models,
    "curves": _curves,
}
_SHARES: Final = "shares"
KINDS: Final = (*_OF_SAMPLES, _SHARES)
