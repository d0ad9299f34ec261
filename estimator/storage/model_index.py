"""What there is of one model: its versions, which of them is current, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from estimator.errors import MisuseError, NotFoundError
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.storage.retention import Retention

SCHEMA: Final = 1

SHORT: Final = 12
"""So many of a digest's digits are shown, and are enough to name it."""

BY_GATE: Final = "worse"
"""Why the learner went back to a version: what came after it was worse."""
BY_HAND: Final = "manual"


class Version(msgspec.Struct, frozen=True):
    """One published artifact of a model; all but its digest and ``held`` is its manifest's.

    ``held`` says that it was held back when it was published. ``since`` may be missing (0):
    earlier indexes have none.
    """

    digest: str
    at: int
    samples: int
    errors: dict[str, dict[str, dict[str, float | None]]]
    machine: MachineSpec
    features: list[str]
    components: list[str]
    held: bool = False
    since: int = 0


class ModelIndex(msgspec.Struct, frozen=True):
    """What there is of one model, oldest version first; ``current`` is one of their digests.

    ``pinned``: nothing but a person makes another version current. ``held_since`` (Unix ms, event
    time): new versions are held back, since they are worse than the current one. ``held_back``
    counts them, ``rollbacks`` by reason how often an older version was made current, the last time
    without a person at ``rolled_back_at`` (event time). The fields from ``pinned`` on may be
    missing: earlier indexes have none of them.
    """

    schema: int
    key: ModelKey
    current: str
    versions: list[Version]
    pinned: bool = False
    held_since: int | None = None
    held_back: int = 0
    rollbacks: dict[str, int] = {}
    rolled_back_at: int | None = None

    @property
    def served(self) -> Version:
        """The current version."""
        return next(one for one in self.versions if one.digest == self.current)

    @property
    def state(self) -> str:
        """``pinned``, ``held`` or, if new versions become current, nothing."""
        return "pinned" if self.pinned else "" if self.held_since is None else "held"


class Decision(NamedTuple):
    """What becomes of a new version: whether it is ``held`` back, and if so what is current.

    ``current`` is the digest of an older version, None for the one that is current already.
    """

    held: bool = False
    current: str | None = None


PASS: Final = Decision()


def grown(
    old: ModelIndex | None, new: Version, key: ModelKey, keep: Retention, decision: Decision
) -> tuple[ModelIndex, list[str]]:
    """The index with one more version, and the digests that are kept no more.

    The new version becomes current unless the model is pinned or the version held back.
    """
    if old is None:
        return ModelIndex(SCHEMA, key, new.digest, [new]), []
    held = decision.held and not old.pinned
    before = [version for version in old.versions if version.digest != new.digest]
    index = replace(old, versions=[*before, replace(new, held=held)])
    if held:
        index = _held_back(index, decision.current, new.at)
    elif not old.pinned:
        index = replace(index, current=new.digest, held_since=None)
    return _thinned(index, keep)


def _held_back(index: ModelIndex, current: str | None, at: int) -> ModelIndex:
    since = at if index.held_since is None else index.held_since
    index = replace(index, held_since=since, held_back=index.held_back + 1)
    there = {version.digest for version in index.versions}
    if current is None or current == index.current or current not in there:
        return index
    return replace(_counted(index, BY_GATE), current=current, rolled_back_at=at)


def _thinned(index: ModelIndex, keep: Retention) -> tuple[ModelIndex, list[str]]:
    kept = keep.kept(index.versions, index.current)
    dropped = [version.digest for version in index.versions if version.digest not in kept]
    return replace(index, versions=[v for v in index.versions if v.digest in kept]), dropped


def rolled_back(index: ModelIndex, digest: str) -> ModelIndex:
    """The index with that version current and pinned; ``NotFoundError`` if it is not kept."""
    made = pinned(index, digest)
    return made if index.current == digest else _counted(made, BY_HAND)


def pinned(index: ModelIndex, digest: str) -> ModelIndex:
    """The index with that version current, to stay so; ``NotFoundError`` if it is not kept."""
    if digest not in {version.digest for version in index.versions}:
        raise NotFoundError(f"model {index.key.slug} has no version {digest}")
    return replace(index, current=digest, pinned=True, held_since=None)


def unpinned(index: ModelIndex) -> ModelIndex:
    """The index with new versions becoming current again, if they are no worse."""
    return replace(index, pinned=False)


def _counted(index: ModelIndex, reason: str) -> ModelIndex:
    return replace(index, rollbacks={**index.rollbacks, reason: index.rollbacks.get(reason, 0) + 1})


def find_index(indexes: dict[str, ModelIndex], text: str) -> ModelIndex:
    """The one model whose slug is the text, or contains it.

    ``NotFoundError`` if there is none, ``MisuseError`` if there are several.
    """
    if text in indexes:
        return indexes[text]
    return indexes[_only([slug for slug in indexes if text in slug], "model", text, indexes)]


def find_version(index: ModelIndex, text: str) -> Version:
    """The one version of the model whose digest begins with the text.

    ``NotFoundError`` if there is none, ``MisuseError`` if there are several.
    """
    found = {one.digest: one for one in index.versions}
    known = (name[:SHORT] for name in found)
    return found[_only([name for name in found if name.startswith(text)], "version", text, known)]


def version_before(index: ModelIndex) -> Version:
    """The last version before the current one that was not held back; ``NotFoundError`` if none."""
    before: list[Version] = []
    for version in index.versions:
        if version.digest == index.current:
            break
        if not version.held:
            before.append(version)
    if not before:
        raise NotFoundError(f"model {index.key.slug} has no version before {index.current}")
    return before[-1]


def _only(fitting: list[str], what: str, text: str, known: Iterable[str]) -> str:
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise MisuseError(f"{what} {text!r} may be any of {', '.join(fitting)}")
    raise NotFoundError(f"{what} {text!r} is not there; there are: {', '.join(known) or 'none'}")
