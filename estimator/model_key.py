"""What tells one model from another."""

from __future__ import annotations

import re

import msgspec

from estimator.vocabulary import OutputType


class ModelKey(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One model predicts all components of its source, for machines of its node type.

    ``imported`` says where one is from that was learned elsewhere: its pipeline and trainer. So it
    has a name of its own, and never takes the place of one that was learned here.
    """

    node_type: str
    source: str
    output_type: OutputType
    feature_group: str
    imported: str = ""

    @property
    def slug(self) -> str:
        """The key as one path-safe word.

        >>> ModelKey("xeon-64c-2s-188g-2100m", "rapl-sysfs", "AbsPower", "BPFOnly").slug
        'xeon-64c-2s-188g-2100m.rapl-sysfs.AbsPower.BPFOnly'
        """
        parts = [self.node_type, self.source, self.output_type, self.feature_group]
        if self.imported:
            parts.append(f"imported-{self.imported}")
        return ".".join(re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in parts)
