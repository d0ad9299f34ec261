"""What models the store holds, and how wrong they are."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.settings import Settings
from server.commands import models_versions
from server.commands.models_import import import_
from server.commands.output import print_json, print_table, watts

if TYPE_CHECKING:
    from estimator.storage.model_index import ModelIndex

SETTINGS = ("data", "store")

_ERRORS = {
    "0": "next W",
    "60": "60 s W",
    "300": "300 s W",
    "1200": "1200 s W",
    "transfer": "transfer W",
}
"""The errors that are shown, by their keys in manifests, and their columns."""


def run(
    settings: Settings,
    namespace: Annotated[
        str | None, typer.Option(help="Those of this replay; without: the live ones")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list")] = False,
) -> int:
    """List the store's models with their errors in watts, next sample and by age served."""
    import msgspec

    from estimator.storage.model_store import ModelStore
    from estimator.storage.namespaces import existing_namespace
    from estimator.storage.store import open_store

    store, where = open_store(settings.store_url), settings.store_url
    if namespace is not None:
        store, where = existing_namespace(store, namespace), f"namespace {namespace} of {where}"
    indexes = ModelStore(store).indexes()
    if json:
        print_json([{"slug": slug, **msgspec.to_builtins(i)} for slug, i in indexes.items()])
        return 0
    rows = []
    for index in indexes.values():
        current, state = index.served, _state(index)
        key, when = index.key, datetime.fromtimestamp(current.at / 1000, tz=UTC)
        until = f"imported: {key.imported}" if key.imported else f"{when:%Y-%m-%d %H:%M:%S}"
        for component in current.components:
            errors = current.errors.get(component, {})
            found = [watts(errors.get(h, {}).get("mae")) for h in _ERRORS]
            head = [key.node_type, key.source, key.output_type, key.feature_group, component]
            rows.append([*head, str(current.samples), *found, until, state])
    columns = ["node type", "source", "output", "group", "component", "samples"]
    columns += [*_ERRORS.values(), "learned until (UTC)", "is"]
    print_table(columns, rows, f"{len(indexes)} models in {where}")
    if not rows:
        sys.stderr.write(f"wattstream: there are no models in {where} yet\n")
    return 0


def _state(index: ModelIndex) -> str:
    """Whether new versions become current, and how many were held back since ever."""
    if not index.held_back:
        return index.state
    return f"{index.state or 'passing'}, {index.held_back} held back"


def promote(
    settings: Settings,
    namespace: Annotated[str, typer.Argument(help="The replay's namespace")],
    model: Annotated[
        str | None, typer.Option(help="Only the model of that name (its slug); without: all")
    ] = None,
) -> int:
    """Publish a replay's models as the live ones."""
    from estimator.storage import namespaces
    from estimator.storage.store import open_store

    promoted = namespaces.promote(open_store(settings.store_url), namespace, model)
    print_table(["model", "version"], [[slug, digest] for slug, digest in promoted.items()])
    return 0


SUBCOMMANDS = {
    "promote": promote,
    "import": import_,
    "history": models_versions.history,
    "diff": models_versions.diff,
    "rollback": models_versions.rollback,
    "pin": models_versions.pin,
}
