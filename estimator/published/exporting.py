"""Learned models as a folder of published weights, kepler-model-db's layout, for other sites."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import asdict

from estimator.choosing.catalog import Catalog, Entry
from estimator.choosing.choice import chosen_by
from estimator.choosing.shelf import LINEAR_TRAINER, curves_of
from estimator.errors import MisuseError, NoModelError, WattstreamError
from estimator.published.exported_readme import Kept, readme
from estimator.published.kepler_weights import weights_answer
from estimator.published.pipelines import INDEX
from estimator.storage.model_store import ModelStore
from estimator.storage.store import Store, open_store

MOST_MAE: Final = 10.0
MOST_MAPE: Final = 20.0
"""kepler-model-server's: a model is exported if its error in watts, or in percent, is no larger."""
RAW: Final = "store"
"""Where whole models lie, as a store of their own."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WEIGHTLESS: Final = frozenset({"model_name", "machine_spec"})


class Export(NamedTuple):
    """What is exported: under which name, by whom, and how wrong models may be."""

    name: str
    publisher: str = ""
    collected: str = ""
    most_mae: float = MOST_MAE
    most_mape: float = MOST_MAPE
    raw: bool = False


class Exported(NamedTuple):
    """The files written, by path, with their models' slugs; the models left out, with why."""

    files: dict[str, str]
    left_out: dict[str, str]


def export_models(store: Store, folder: Path, export: Export) -> Exported:
    """Write the current learned models of the store into the folder, which must be new or empty.

    ``FOLDER/NAME`` is what ``wattstream models import`` and ``initial_pipeline_url`` read: weights
    by source, output type, feature group, trainer and node type, which machines the node types
    are, and a README of errors. With ``raw`` the whole models lie beside, as a store.
    ``WattstreamError`` where no model is good enough.
    """
    if not _NAME.fullmatch(export.name):
        raise MisuseError(f"name is {export.name!r}: letters, digits, '.', '_' and '-' are needed")
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise MisuseError(f"{folder} is there and not empty: name another folder")
        entries, left_out = _chosen(store, export)
        files, kept, slugs = _files(entries, left_out)
        if not files:
            raise WattstreamError(_none(left_out))
        pipeline = folder / export.name
        for path, content in {**files, **_around(export, kept)}.items():
            target = pipeline / PurePosixPath(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    except OSError as error:
        raise MisuseError(f"{folder} cannot be written: {error.strerror or error}") from error
    if export.raw:
        _copy(store, folder / RAW, [one.entry for one in kept])
    return Exported({f"{export.name}/{path}": slug for path, slug in slugs.items()}, left_out)


def _chosen(store: Store, export: Export) -> tuple[list[Entry], dict[str, str]]:
    """The models that are good enough, and why the others are not."""
    catalog = Catalog(ModelStore(store))
    catalog.refresh()
    chosen, left_out = [], dict[str, str]()
    for entry in catalog.entries:
        manifest = entry.manifest
        if manifest.key.imported:
            left_out[manifest.key.slug] = f"it was imported itself, from {manifest.key.imported}"
            continue
        errors = chosen_by(manifest)
        mae, mape = errors.get("mae"), errors.get("mape")
        if mae is None:
            left_out[manifest.key.slug] = "how wrong it is is not known yet"
        elif mae > export.most_mae and (mape is None or mape > export.most_mape):
            percent = "" if mape is None else f" and {mape:.1f} %"
            left_out[manifest.key.slug] = f"its error is {mae:.2f} W{percent}"
        else:
            chosen.append(entry)
    return chosen, left_out


_Files = dict[str, bytes]


def _files(
    entries: Sequence[Entry], left_out: dict[str, str]
) -> tuple[_Files, list[Kept], dict[str, str]]:
    """The weights by path, the models that have some, and each path's model."""
    numbers: dict[str, int] = {}
    files: _Files = {}
    kept: list[Kept] = []
    slugs: dict[str, str] = {}
    for entry in entries:
        key = entry.manifest.key
        trainers = []
        number = numbers.setdefault(key.node_type, len(numbers))
        for trainer in (LINEAR_TRAINER, *curves_of(entry)):
            try:
                answer = weights_answer(entry, trainer)
            except NoModelError as error:
                if trainer == LINEAR_TRAINER:
                    left_out[key.slug] = str(error)
                continue
            weights = {name: part for name, part in answer.items() if name not in _WEIGHTLESS}
            path = f"{key.source}/{key.output_type}/{key.feature_group}/{trainer}_{number}.json"
            files[path], slugs[path] = _pretty(weights), key.slug
            trainers.append(trainer)
        if trainers:
            kept.append(Kept(entry, number, trainers))
            left_out.pop(key.slug, None)
    return files, kept, slugs


def _around(export: Export, kept: Sequence[Kept]) -> _Files:
    """What says which machines and models these are."""
    machines = {one.number: one.entry.manifest.machine for one in kept}
    index = {
        str(number): {
            "attrs": {
                name: value
                for name, value in asdict(machine).items()
                if name in ("processor", "cores", "chips", "memory", "frequency")
            },
            "members": [],
        }
        for number, machine in sorted(machines.items())
    }
    metadata: Mapping[str, Any] = {
        "name": export.name,
        "publisher": export.publisher,
        "collect_date": export.collected,
        "models": [
            {
                "slug": one.entry.manifest.key.slug,
                "digest": one.entry.digest,
                "node_type": one.number,
                "samples": one.entry.manifest.samples,
                "since": one.entry.manifest.since,
                "at": one.entry.manifest.at,
                "errors": one.entry.manifest.errors,
                "trainers": one.trainers,
            }
            for one in kept
        ],
    }
    text = readme(export.name, export.publisher, export.collected, kept)
    return {
        INDEX: _pretty(index),
        "metadata.json": _pretty(metadata),
        "README.md": text.encode(),
    }


def _copy(store: Store, folder: Path, entries: Sequence[Entry]) -> None:
    """Whole models into a store of their own, which a model server can start with."""
    source, target = ModelStore(store), ModelStore(open_store(f"file://{folder.resolve()}"))
    for entry in entries:
        target.publish(source.artifact(entry.digest))


def _none(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return "there is nothing to export: the store has no models"
    slug, why = next(iter(left_out.items()))
    more = f" (and {len(left_out) - 1} others are left out)" if len(left_out) > 1 else ""
    return f"there is nothing to export: {slug}: {why}{more}"


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
