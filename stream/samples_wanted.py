"""Which of the samples are looked at: those of one energy source, and their features of a group."""

from __future__ import annotations

from collections.abc import Sequence

from estimator.errors import MisuseError, WattstreamError
from estimator.vocabulary import FEATURE_GROUPS
from stream.sample import Sample


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
