"""Published weights in a folder, for machines of which nothing has been learned yet.

The layout is kepler-model-db's, see `pipelines`. Lines only: of an estimator without a store these
are the last resort, and a line errs least where it knows nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path

from estimator.artifacts.artifact import Artifact, digest, encode
from estimator.choosing.catalog import Catalog
from estimator.choosing.choice import Entry, Query
from estimator.choosing.shelf import LINEAR_TRAINER
from estimator.choosing.similarity import NodeTypeSearch
from estimator.errors import DamagedError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.published.pipeline_folder import folder_files
from estimator.published.pipelines import PICKLED, read_pipelines
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore

_log = logging.getLogger(__name__)


class ImportedModels:
    """The folder's models, to be chosen from; read when the first of them is asked for."""

    def __init__(self, folder: Path, machine: MachineSpec = UNKNOWN_MACHINE) -> None:
        self._folder = folder
        self._machine = machine
        self._catalog: Catalog | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The models that have been read."""
        return self._read().entries

    def select(self, query: Query) -> Entry:
        """The best model for the query; ``NoModelError`` or ``RequestError`` say why none."""
        return self._read().select(query)

    def _read(self) -> Catalog:
        catalog = self._catalog
        if catalog is None:
            catalog = Catalog(ModelStore(InMemoryStore()))
            catalog.adopt(read_imported(self._folder, self._machine))
            self._catalog = catalog
        return catalog


def read_imported(folder: Path, machine: MachineSpec = UNKNOWN_MACHINE) -> tuple[Entry, ...]:
    """Of each source, output type and feature group the weights of the machine most like this.

    What cannot be read is said in the log and left out; a folder that is not there has none.
    """
    kinds: dict[tuple[str, ...], list[Artifact]] = {}
    try:
        files = folder_files(folder)
    except DamagedError as error:
        _log.warning("imported weights in %s cannot be read: %s", folder, error)
        return ()
    for found in read_pipelines(files, folder.name, [LINEAR_TRAINER]):
        if isinstance(found, Artifact):
            key = found.manifest.key
            kind = key.imported, key.source, key.output_type, key.feature_group
            kinds.setdefault(kind, []).append(found)
        elif found.reason != PICKLED:
            path = folder / found.path
            _log.warning("imported weights %s cannot be read: %s", path, found.reason)
    return tuple(_nearest(alike, machine) for alike in kinds.values())


def _nearest(alike: list[Artifact], machine: MachineSpec) -> Entry:
    specs = [artifact.manifest.machine for artifact in alike]
    members = [artifact.manifest.members_known for artifact in alike]
    found = alike[NodeTypeSearch(specs, members).search(machine, loose=True).place]
    return Entry(digest(encode(found)), found.manifest, found.model, 0)
