"""Published weights into the store."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from estimator.settings import Settings
from server.commands.output import print_json, print_table


def import_(
    settings: Settings,
    location: Annotated[
        str,
        typer.Argument(help="Folder, zip, tar or http URL of weights (kepler-model-db's layout)"),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> int:
    """Take models that were learned elsewhere into the store, marked as imported."""
    from estimator.published.importing import import_models
    from estimator.storage.model_store import ModelStore
    from estimator.storage.store import open_store

    done = import_models(ModelStore(open_store(settings.store_url)), location)
    new = len(done.models) - done.unchanged
    if json:
        refused = [refusal._asdict() for refusal in done.refused]
        print_json({"models": done.models, "new": new, "refused": refused})
        return 0
    title = f"{len(done.models)} models of {location}, {new} of them new"
    print_table(["model", "version"], [[*pair] for pair in done.models.items()], title)
    for path, reason in done.refused:
        sys.stderr.write(f"wattstream: {path} is refused: {reason}\n")
    return 0
