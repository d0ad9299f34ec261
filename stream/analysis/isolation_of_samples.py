"""Samples with what they drew above idle in place of the whole, by an isolator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.errors import WattstreamError
from estimator.isolation.isolator import Isolator
from estimator.learning.model import PowerModel
from estimator.model_key import ModelKey
from estimator.vocabulary import ABS_POWER
from stream.learning.dynamic import isolated
from stream.learning.learner import Learner, Pool
from stream.sample import Sample

Columns = Sequence[int]


class Level(NamedTuple):
    """What was subtracted of a component: its mean over the samples, in watts."""

    node_type: str
    source: str
    component: str
    watts: float
    samples: int


class IsolatedSamples(NamedTuple):
    """Samples of power above idle, and what was subtracted.

    ``left_out`` are those of which that is not known.
    """

    samples: list[Sample]
    levels: list[Level]
    left_out: int


def isolate(samples: Sequence[Sample], pool: Pool, isolator: Isolator) -> IsolatedSamples:
    """Subtract what the isolator says, once models have learned all of the samples.

    Where it subtracts a level, that is the level at the end. Where it knows background workloads,
    their rates are taken off as well, and what the best of the models says of them.
    ``WattstreamError`` where no model can be learned.
    """
    learner = Learner(pool._replace(isolator=None))
    for sample in samples:
        learner.learn_one(sample)
    learner.flush()
    parts: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[Sample]] = {}
    for sample in samples:
        key = sample.machine.node_type, sample.source, sample.features, sample.components
        parts.setdefault(key, []).append(sample)
    made: list[Sample] = []
    levels: list[Level] = []
    for (node_type, source, features, components), part in parts.items():
        models = _models(learner, pool.groups, node_type, source, features, components)
        found = _isolated(isolator, part, models, features)
        made += found
        for number, component in enumerate(components):
            before = {(s.node, s.end): s.watts[number] for s in part}
            taken = [before[s.node, s.end] - s.watts[number] for s in found]
            if taken:
                mean = float(np.mean(taken))
                levels.append(Level(node_type, source, component, mean, len(taken)))
    if not made:
        raise WattstreamError(
            f"isolator {isolator.word}: nothing can be isolated: no model could be learned of "
            f"{len(samples)} samples"
        )
    made.sort(key=lambda one: (one.end, one.node, one.source))
    return IsolatedSamples(made, levels, len(samples) - len(made))


_Models = Sequence[tuple[ModelKey, PowerModel, Columns]]


def _models(
    learner: Learner,
    groups: Mapping[str, Sequence[str]],
    node_type: str,
    source: str,
    features: Sequence[str],
    components: Sequence[str],
) -> _Models:
    """The models that speak of such samples, with the places of their features."""
    found = []
    for group, needed in groups.items():
        key = ModelKey(node_type, source, ABS_POWER, group)
        model = learner.models.get(key)
        if model is None or tuple(model.components) != tuple(components):
            continue
        if set(needed) <= set(features):
            found.append((key, model, [list(features).index(name) for name in needed]))
    return found


def _isolated(
    isolator: Isolator, samples: Sequence[Sample], models: _Models, features: Sequence[str]
) -> list[Sample]:
    if isolator.hints is not None:
        above = isolated(features, samples, [(model, columns) for _, model, columns in models])
        if above is None:
            return []
        return [
            samples[place]._replace(rates=rates, watts=tuple(watts.tolist()))
            for place, rates, watts in zip(above.kept, above.target, above.watts, strict=True)
        ]
    level = next(
        (level for key, model, _ in models if (level := isolator.level(key, model)) is not None),
        None,
    )
    return [] if level is None else [_less(sample, level) for sample in samples]


def _less(sample: Sample, level: Floats) -> Sample:
    watts = np.maximum(np.array(sample.watts) - level, 0.0)
    return sample._replace(watts=tuple(watts.tolist()))
