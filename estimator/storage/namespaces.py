"""Namespaces: models of a replay, apart from the live ones, in a folder of the same store."""

from __future__ import annotations

import re
from typing import Final

from estimator.errors import MisuseError, NotFoundError
from estimator.storage.model_store import ModelStore
from estimator.storage.prefixed_store import PrefixedStore
from estimator.storage.store import Store

FOLDER: Final = "replays"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_namespace(name: str) -> str:
    """The name, if it can be one; else ``MisuseError``.

    Lower case only: some file systems do not tell it from upper case.
    """
    if not _NAME.fullmatch(name):
        raise MisuseError(
            f"namespace is {name!r}: 1 to 63 of a-z, 0-9, '.', '_' and '-' are needed, "
            f"the first a letter or a digit"
        )
    return name


def in_namespace(store: Store, name: str) -> Store:
    """The part of the store that belongs to the namespace; ``MisuseError`` for a bad name."""
    return PrefixedStore(store, f"{FOLDER}/{check_namespace(name)}")


def namespaces(store: Store) -> list[str]:
    """The names of all namespaces that have something in the store, sorted."""
    found = {path.split("/")[1] for path in store.list(FOLDER) if path.count("/") > 1}
    return sorted(name for name in found if _NAME.fullmatch(name))


def existing_namespace(store: Store, name: str) -> Store:
    """As `in_namespace`, but ``NotFoundError`` names those that there are if it is none."""
    part = in_namespace(store, name)
    if not part.list(""):
        there = ", ".join(namespaces(store)) or "none"
        raise NotFoundError(f"namespace {name!r} is not in the store; there are: {there}")
    return part


def promote(store: Store, name: str, slug: str | None = None) -> dict[str, str]:
    """Publish the namespace's current artifacts as live models; their digests by slug.

    Of all models, or of the one with that slug; ``NotFoundError`` if there is none, ``MisuseError``
    if the live model is pinned. Every artifact is read and checked before the first one is
    published.
    """
    found = ModelStore(existing_namespace(store, name))
    current = {one: index.current for one, index in found.indexes().items()}
    if slug is not None and slug not in current:
        known = ", ".join(current) or "none"
        raise NotFoundError(f"model {slug!r} is not in namespace {name!r}; there are: {known}")
    chosen = current if slug is None else {slug: current[slug]}
    if not chosen:
        raise NotFoundError(f"namespace {name!r} has no models yet")
    artifacts = {one: found.artifact(digest) for one, digest in chosen.items()}
    live = ModelStore(store)
    there = live.indexes()
    for one in artifacts:
        if one in there and there[one].pinned:
            raise MisuseError(
                f"model {one} is pinned to {there[one].current[:12]}: unpin it first "
                f"(wattstream models pin {one} --off)"
            )
    return {one: live.publish(artifact) for one, artifact in artifacts.items()}
