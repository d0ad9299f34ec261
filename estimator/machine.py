"""What a machine is, and when two machines are alike."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class MachineSpec(msgspec.Struct, frozen=True, omit_defaults=True, cache_hash=True):
    """A machine as Kepler describes it (``pkg/config/spec.go``). All numbers are integers.

    ``cores`` are logical processors, ``chips`` sockets, ``memory`` GiB, ``frequency`` MHz to the
    nearest hundred. 0 and "" stand for unknown.
    """

    vendor: str = ""
    processor: str = ""
    cores: Count = 0
    chips: Count = 0
    memory: Count = 0
    frequency: Count = 0
    threads_per_core: Count = 0

    @property
    def node_type(self) -> str:
        """The name of all machines alike in processor, cores, chips, memory and frequency.

        >>> MachineSpec(processor="intel_xeon_gold_6130", cores=64, chips=2, memory=188,
        ...             frequency=2100).node_type
        'intel_xeon_gold_6130-64c-2s-188g-2100m'
        >>> MachineSpec().node_type
        'unknown'
        """
        if self == UNKNOWN_MACHINE:
            return "unknown"
        processor = re.sub(r"[^a-z0-9_]+", "_", self.processor.lower()).strip("_") or "unknown"
        return f"{processor}-{self.cores}c-{self.chips}s-{self.memory}g-{self.frequency}m"


UNKNOWN_MACHINE = MachineSpec()
