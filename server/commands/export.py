"""Learned models as a folder that another site can start from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from estimator.settings import Settings
from server.commands.output import print_json, print_table

SETTINGS = ("data", "store")


def run(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(help="Folder to write, new or empty")],
    pipeline_name: Annotated[
        str, typer.Option("--pipeline-name", "-p", help="What the pipeline is called")
    ] = "wattstream",
    publisher: Annotated[str, typer.Option(help="Who publishes it, for the README")] = "",
    collect_date: Annotated[
        str, typer.Option(help="When it was measured, for the README; else when it was learned")
    ] = "",
    include_raw: Annotated[
        bool, typer.Option("--include-raw", help="Whole models, too, as a store (FOLDER/store)")
    ] = False,
    zipped: Annotated[
        bool, typer.Option("--zip", help="Pack the pipeline into FOLDER/NAME.zip, too")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option(help="The models of this replay; without: the live ones")
    ] = None,
    mae: Annotated[
        float, typer.Option(help="Watts that a model may be wrong by, or else --mape", min=0.0)
    ] = 10.0,
    mape: Annotated[
        float, typer.Option(help="Percent that a model may be wrong by, or else --mae", min=0.0)
    ] = 20.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> int:
    """Write learned models as Kepler's weights, with a README of their errors."""
    import shutil

    from estimator.published.exporting import Export, export_models
    from estimator.storage.namespaces import existing_namespace
    from estimator.storage.store import open_store

    store = open_store(settings.store_url)
    if namespace is not None:
        store = existing_namespace(store, namespace)
    export = Export(pipeline_name, publisher, collect_date, mae, mape, include_raw)
    done = export_models(store, folder, export)
    if zipped:
        packed = folder / pipeline_name
        shutil.make_archive(str(packed), "zip", folder, pipeline_name)
    if json:
        print_json({"files": done.files, "left_out": done.left_out})
        return 0
    rows = [[path, slug] for path, slug in done.files.items()]
    print_table(["file", "model"], rows, f"{len(rows)} files in {folder}")
    for slug, why in done.left_out.items():
        sys.stderr.write(f"wattstream: {slug} is left out: {why}\n")
    return 0
