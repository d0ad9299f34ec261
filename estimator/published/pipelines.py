"""Models of kepler-model-db's layout, in a folder or from an archive.

``[<pipeline>/]<energy source>/<output type>/<feature group>/<trainer>_<node type>.json`` (or
``.../<trainer>_<node type>/weight.json``, as kepler-model-server keeps them) and beside the
sources ``node_type_index.json``, which says what machines the node types are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple, cast

import msgspec

from estimator.artifacts.artifact import Artifact
from estimator.errors import DamagedError
from estimator.machine import MachineSpec
from estimator.published.published_weights import TRAINERS, Place, published_artifact
from estimator.vocabulary import OUTPUT_TYPES, SOURCE_COMPONENTS, OutputType, canonical_source

Files = Mapping[str, Callable[[], bytes]]
"""What there is to read, by path with slashes; ``DamagedError`` for what cannot be read."""

INDEX: Final = "node_type_index.json"
_PICKLES: Final = (".zip", ".pkl", ".pickle", ".joblib")
"""What kepler-model-server keeps whole models in: zips of pickles, and pickles."""
PICKLED: Final = "it holds pickles, and to open a pickle is to run its code; weights are read only"

_STEM: Final = re.compile(r"(?P<trainer>[A-Za-z]+)_(?P<number>\d{1,9})")


class Attributes(msgspec.Struct):
    """A machine as ``node_type_index.json`` has it, where numbers are floats."""

    processor: str | None = None
    cores: float | None = None
    chips: float | None = None
    memory: float | None = None
    frequency: float | None = None

    def machine(self) -> MachineSpec:
        """The machine; ``DamagedError`` for numbers that are none."""
        return MachineSpec(
            processor=self.processor or "",
            cores=_count("cores", self.cores),
            chips=_count("chips", self.chips),
            memory=_count("memory", self.memory),
            frequency=_count("frequency", self.frequency),
        )


def _count(name: str, value: float | None) -> int:
    number = value or 0.0
    if not math.isfinite(number) or not 0 <= number <= 2**31:
        raise DamagedError(f"{name} is {number}: a number of 0 or more is needed")
    return int(number)


class _NodeType(msgspec.Struct):
    attrs: Attributes
    members: list[str] = []


class Refusal(NamedTuple):
    """A file that was not read, and why."""

    path: str
    reason: str


def read_pipelines(
    files: Files, name: str, trainers: Sequence[str] = TRAINERS
) -> Iterator[Artifact | Refusal]:
    """All models of these trainers in the files, and what cannot be read with its reason.

    ``name`` is that of a pipeline that lies in no folder of its own.
    """
    roots = {str(PurePosixPath(path).parent) for path in files if _file(path) == INDEX}
    for root in sorted(roots):
        prefix = "" if root == "." else f"{root}/"
        pipeline = PurePosixPath(root).name or name
        try:
            types = _node_types(files[prefix + INDEX]())
        except DamagedError as error:
            yield Refusal(prefix + INDEX, str(error))
            continue
        taken: dict[str, str] = {}
        for path in sorted(files):
            if not path.startswith(prefix) or path == prefix + INDEX:
                continue
            found = _read(files, path, (pipeline, path.removeprefix(prefix)), types, trainers)
            if isinstance(found, Artifact):
                first = taken.setdefault(found.manifest.key.slug, path)
                if first != path:
                    found = Refusal(path, f"{first} is of a machine with the same name")
            if found is not None:
                yield found


def _read(
    files: Files,
    path: str,
    where: tuple[str, str],
    types: Mapping[str, _NodeType],
    trainers: Sequence[str],
) -> Artifact | Refusal | None:
    """The model of one file; None if it is none of weights."""
    if path.lower().endswith(_PICKLES):
        return Refusal(path, PICKLED)
    place = _place(*where)
    if place is None or place.trainer not in trainers:
        return None
    try:
        _check_place(place, types)
        known = types[place.number]
        machine, members = known.attrs.machine(), max(1, len(known.members))
        return published_artifact(files[path](), place, machine, members)
    except DamagedError as error:
        return Refusal(path, str(error))


def _place(pipeline: str, inside: str) -> Place | None:
    """What the file is of, by where it lies in its pipeline; None if it is none of weights."""
    parts = inside.split("/")
    if len(parts) == 5 and parts[4] == "weight.json":
        stem = parts[3]
    elif len(parts) == 4 and parts[3].endswith(".json"):
        stem = parts[3].removesuffix(".json")
    else:
        return None
    named = _STEM.fullmatch(stem)
    if named is None:
        return None
    source, output, group = parts[:3]
    return Place(
        pipeline, source, cast(OutputType, output), group, named["trainer"], named["number"]
    )


def _check_place(place: Place, types: Mapping[str, _NodeType]) -> None:
    if canonical_source(place.source) not in SOURCE_COMPONENTS:
        known = ", ".join(SOURCE_COMPONENTS)
        raise DamagedError(f"energy source is {place.source[:80]!r}: known are {known}")
    if place.output_type not in OUTPUT_TYPES:
        known = ", ".join(OUTPUT_TYPES)
        raise DamagedError(f"output type is {place.output_type[:80]!r}: known are {known}")
    if place.number not in types:
        raise DamagedError(f"node type {place.number} is not in {INDEX}")


def _node_types(data: bytes) -> dict[str, _NodeType]:
    try:
        return msgspec.json.decode(data, type=dict[str, _NodeType])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"no node types: {error}") from error


def _file(path: str) -> str:
    return path.rpartition("/")[2]
