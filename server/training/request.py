"""What ``POST /train`` is asked, in kepler-model-server's words, and whether that is possible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from estimator.errors import RequestError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.vocabulary import RAPL, SOURCE_COMPONENTS, canonical_source
from server.training.explain import decoded

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

Names = list[str] | str


class TrainerSpec(msgspec.Struct, frozen=True):
    """Which models are wanted; a list of names may be one text with commas between them."""

    abs_trainers: Names | None = None
    dyn_trainers: Names | None = None
    isolator: str | None = None
    isolator_args: dict[str, Any] | None = None
    idle_prom_response: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class TrainRequest(msgspec.Struct, frozen=True):
    """The body of ``POST /train``; keys that are not known are ignored, null is as if left out.

    ``prom_response`` has answers by metric, or is one answer of Prometheus' HTTP API.
    ``machine_spec`` says what recordings of old exporters do not: what machine it was.
    """

    # Both answers are views of the body: they live as long as it.

    name: str
    energy_source: str
    prom_response: msgspec.Raw
    trainer: TrainerSpec | None = None
    machine_spec: MachineSpec | None = None
    use_vm_metrics: bool | None = None

    @property
    def wanted(self) -> TrainerSpec:
        """Which models are wanted; all, by the settings' experts, unless something is said."""
        return self.trainer or TrainerSpec()

    @property
    def machine(self) -> MachineSpec:
        """The machine as far as the request says."""
        return self.machine_spec or UNKNOWN_MACHINE

    @property
    def energy_sources(self) -> frozenset[str]:
        """The sources' canonical names; ``RequestError`` for one that is none.

        >>> request = TrainRequest("a", "intel_rapl, acpi", msgspec.Raw(b"{}"))
        >>> sorted(request.energy_sources)
        ['acpi', 'rapl-sysfs']
        """
        found = frozenset(map(canonical_source, listed(self.energy_source)))
        for name in sorted(found - SOURCE_COMPONENTS.keys()):
            known = ", ".join(SOURCE_COMPONENTS)
            raise RequestError(f"energy_source has {name[:80]!r}: known are {known}")
        return found or frozenset({RAPL})


_decoder = msgspec.json.Decoder(TrainRequest)


def decode_request(body: bytes) -> TrainRequest:
    """Read the body (bytes or what looks like them); ``RequestError`` names key and value."""
    return checked(decoded(_decoder, body, "POST /train"))


def checked(request: TrainRequest) -> TrainRequest:
    """The request, if its values are possible; else ``RequestError``."""
    if not _NAME.fullmatch(request.name):
        raise RequestError(
            f"name is {request.name[:80]!r}: 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-' are "
            "needed, the first a letter or a digit"
        )
    if request.use_vm_metrics:
        raise RequestError(
            "use_vm_metrics is true: kepler_vm_* series are not learned from; leave it out"
        )
    _ = request.energy_sources  # which checks them
    return request


def listed(names: Names | None) -> Sequence[str]:
    """The names of a list, or of a text with commas between them.

    >>> listed("a, b,"), listed(["a"]), listed(None)
    (['a', 'b'], ['a'], [])
    """
    parts = names.split(",") if isinstance(names, str) else names or []
    return [part.strip() for part in parts if part.strip()]
