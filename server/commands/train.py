"""What the trainer does, without a server: models of one recorded Prometheus answer."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estimator.errors import MisuseError, WattstreamError
from estimator.settings import Settings
from estimator.vocabulary import SOURCE_COMPONENTS
from server.commands.errors_table import ERROR_COLUMNS, error_cells
from server.commands.output import print_json, print_table, progress

if TYPE_CHECKING:
    from server.training.request import TrainRequest

_log = logging.getLogger(__name__)

SETTINGS = ("experts",)


def run(
    settings: Settings,
    file: Annotated[
        Path, typer.Argument(help="What Prometheus answered, or a request to the trainer (JSON)")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Zip of the models; without: the name with .zip")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name; without: the file's")] = None,
    energy_source: Annotated[
        str | None, typer.Option(help="Energy sources to learn, separated by commas; else all")
    ] = None,
    trainers: Annotated[
        str | None,
        typer.Option(help="kepler-model-server's trainers or banks of experts, by commas"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one object")] = False,
) -> int:
    """Learn models of a recorded Prometheus answer, and write them into a zip."""
    from server.training.run import train
    from stream.worker import relax_garbage_collection

    relax_garbage_collection()
    request = _request(file, name, energy_source, trainers)
    with progress(f"learning {file}") as show:
        trained = train(request, settings.experts, lambda done: show(round(done * 1000), 1000))
    path = output or Path(f"{request.name}.zip")
    path.write_bytes(trained.zip)
    if json:
        print_json(trained.report)
    else:
        _print(trained.report, path)
    _log.info("to serve it: unzip -d FOLDER %s; wattstream estimate --store file:FOLDER", path)
    return 0


def _request(
    file: Path, name: str | None, energy_source: str | None, trainers: str | None
) -> TrainRequest:
    """What the file asks for, or what is to be asked of the answer in it; flags win."""
    import msgspec

    from server.training.mapped import mapped
    from server.training.request import TrainerSpec, TrainRequest, checked, decode_request

    try:
        body = mapped(file)
        is_request = "prom_response" in msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WattstreamError(f"{file}: {error}") from error
    except OSError as error:
        raise MisuseError(f"{file}: {error.strerror or error}") from error
    if is_request:
        request = decode_request(body)
    else:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).lstrip("._-")[:63]
        request = TrainRequest(
            name=stem or "models",
            energy_source=",".join(SOURCE_COMPONENTS),
            prom_response=msgspec.Raw(body),
        )
    changes: dict[str, Any] = {"name": name, "energy_source": energy_source}
    changes = {key: value for key, value in changes.items() if value is not None}
    if trainers is not None:
        spec = request.trainer or TrainerSpec()
        changes["trainer"] = msgspec.structs.replace(spec, abs_trainers=trainers)
    return checked(msgspec.structs.replace(request, **changes))


def _print(report: dict[str, Any], path: Path) -> None:
    rows = [
        [*(model[key] for key in _KEY), component, str(model["samples"]), *error_cells(errors)]
        for model in report["models"]
        for component, errors in model["components"].items()
    ]
    columns = ["node type", "source", "output", "group", "component", "samples", *ERROR_COLUMNS]
    title = f"{report['name']}: next-sample errors, then served MAE in W by model age"
    print_table(columns, rows, title)
    sys.stdout.write(f"{report['samples']} samples, {len(report['models'])} models in {path}\n")


_KEY = ("node_type", "source", "output_type", "feature_group")
