"""Models from elsewhere: published weights into the store, beside what is learned here."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from estimator.artifacts.artifact import Artifact, digest, encode
from estimator.errors import DamagedError, MisuseError, NotFoundError, WattstreamError
from estimator.published.pipeline_files import files_of
from estimator.published.pipelines import INDEX, PICKLED, Refusal, read_pipelines
from estimator.storage.model_store import ModelStore

_log = logging.getLogger(__name__)

_PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib"})


class Imported(NamedTuple):
    """What came of an import: the models by slug with their digests, and what was refused.

    ``unchanged`` counts the models that had been there already.
    """

    models: dict[str, str]
    unchanged: int
    refused: list[Refusal]


def import_models(models: ModelStore, location: str) -> Imported:
    """Publish the weights at a folder, archive or URL as imported models.

    Errors: ``SourceUnavailableError`` and ``DamagedError`` of `files_of`, ``MisuseError`` if there
    are no weights there. What single files have wrong with them is among the refused. Importing
    again what is kept already changes nothing, whichever version is current.
    """
    if PurePosixPath(location).suffix in _PICKLES:
        raise MisuseError(f"{location} is refused: {PICKLED}")
    files, name = files_of(location)
    found = list(read_pipelines(files, name))
    artifacts = [one for one in found if isinstance(one, Artifact)]
    refused = [one for one in found if isinstance(one, Refusal)]
    if not artifacts:
        raise MisuseError(_why_none(location, files, refused))
    published, unchanged = {}, 0
    for artifact in artifacts:
        slug, kept = artifact.manifest.key.slug, digest(encode(artifact))
        published[slug] = kept
        if kept in _kept(models, slug):
            unchanged += 1
        else:
            models.publish(artifact)
    return Imported(published, unchanged, refused)


def import_at_start(models: ModelStore, locations: Iterable[str]) -> None:
    """Import from each of the locations; what cannot be had is said, and stops nothing else."""
    for location in locations:
        try:
            done = import_models(models, location)
        except WattstreamError as error:
            _log.warning("no models are imported from %s: %s", location, error)
            continue
        new = len(done.models) - done.unchanged
        _log.info("%d models are imported from %s, %d are new", len(done.models), location, new)
        for refusal in done.refused:
            _log.warning("%s: %s is refused: %s", location, refusal.path, refusal.reason)


def _kept(models: ModelStore, slug: str) -> set[str]:
    """The digests of the model's versions that the store keeps."""
    try:
        return {version.digest for version in models.index(slug).versions}
    except (NotFoundError, DamagedError):
        return set()


def _why_none(location: str, files: Iterable[str], refused: list[Refusal]) -> str:
    if refused:
        first = f"{refused[0].path}: {refused[0].reason}"
        more = f" (and {len(refused) - 1} others)" if len(refused) > 1 else ""
        return f"{location} has no weights that can be read: {first}{more}"
    if any(PurePosixPath(path).suffix in _PICKLES for path in files):
        return f"{location} is refused: {PICKLED}"
    return (
        f"{location} has no published weights: {INDEX} is needed beside folders of"
        " ENERGY_SOURCE/OUTPUT_TYPE/FEATURE_GROUP/TRAINER_NODETYPE.json"
    )
