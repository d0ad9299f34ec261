"""Which of the samples are looked at: those of one energy source, and their features of a group."""

from __future__ import annotations

from collections.abc import Sequence

from estimator.errors import MisuseError, WattstreamError
from estimator.isolation.isolator import Isolator
from estimator.vocabulary import FEATURE_GROUPS, canonical_source
from stream.analysis.recording import Recording
from stream.sample import Sample


def wanted_samples(
    recording: Recording,
    source: str | None,
    group: str | None = None,
    isolator: Isolator | None = None,
) -> list[Sample]:
    """The recording's samples, of an energy source and of a feature group where these are named."""
    samples = recording.samples(isolator)
    if source is not None:
        samples = of_source(samples, canonical_source(source), recording.name)
    if group is not None:
        samples = of_group(samples, group, recording.name)
    return samples


def of_source(samples: Sequence[Sample], source: str, name: str) -> list[Sample]:
    """The samples with power of that energy source; ``WattstreamError`` says which there are."""
    found = [sample for sample in samples if sample.source == source]
    if not found:
        there = ", ".join(sorted({sample.source for sample in samples}))
        raise WattstreamError(f"{name} has no power of {source!r}, but of {there}")
    return found


def of_group(samples: Sequence[Sample], group: str, name: str) -> list[Sample]:
    """The samples that have the group's features, with these alone."""
    if group not in FEATURE_GROUPS:
        raise MisuseError(f"--feature-group is {group!r}: known are {', '.join(FEATURE_GROUPS)}")
    needed = FEATURE_GROUPS[group]
    found = []
    for sample in samples:
        if set(needed) <= set(sample.features):
            columns = [sample.features.index(feature) for feature in needed]
            found.append(sample._replace(features=needed, rates=sample.rates[columns]))
    if not found:
        there = ", ".join(sorted({name for sample in samples for name in sample.features}))
        raise WattstreamError(f"{name} has not all features of {group}: it has {there}")
    return found
