"""What the trainer does, without a server: models of a recorded Prometheus answer or a trace."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estimator.errors import MisuseError, WattstreamError
from estimator.settings import ISOLATION_SETTINGS, Settings
from estimator.vocabulary import SOURCE_COMPONENTS
from server.commands.errors_table import ERROR_COLUMNS, error_cells
from server.commands.output import print_json, print_table, progress
from server.commands.writable import check_writable

if TYPE_CHECKING:
    from server.training.request import TrainRequest

_log = logging.getLogger(__name__)

SETTINGS = ("experts", "node", *ISOLATION_SETTINGS)


def run(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(
            help="What Prometheus answered, or a request to the trainer (JSON); or a trace (.csv)"
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Zip of the models; without: the name with .zip"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", "--pipeline-name", "-p", help="Name; without: the file's"),
    ] = None,
    energy_source: Annotated[
        str | None,
        typer.Option(
            "--energy-source", "-e", help="Energy sources to learn, separated by commas; else all"
        ),
    ] = None,
    trainers: Annotated[
        str | None,
        typer.Option(help="kepler-model-server's trainers or banks of experts, by commas"),
    ] = None,
    abs_trainers: Annotated[
        str | None, typer.Option(help="The same for AbsPower alone; '': no such models")
    ] = None,
    dyn_trainers: Annotated[
        str | None, typer.Option(help="The same for DynPower alone; '': no such models")
    ] = None,
    idle: Annotated[
        Path | None,
        typer.Option(help="What Prometheus answered of the same machine at rest, for isolators"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one object")] = False,
) -> int:
    """Learn models of a recorded Prometheus answer or a trace, and write them into a zip."""
    from server.training.run import train
    from stream.learning.worker import relax_garbage_collection
    from stream.sources.trace import TraceSource

    relax_garbage_collection()
    asked = (
        trainers if abs_trainers is None else abs_trainers,
        trainers if dyn_trainers is None else dyn_trainers,
    )
    trace = TraceSource(file, settings.node or "trace") if file.suffix == ".csv" else None
    body = _body(file) if trace is None else b"{}"
    request = _request(settings, file, body, name, energy_source, asked, idle)
    path = output or Path(f"{request.name}.zip")
    check_writable(path)
    with progress(f"learning {file}") as show:
        trained = train(
            request, settings.experts, lambda done: show(round(done * 1000), 1000), trace
        )
    path.write_bytes(trained.zip)
    if json:
        print_json(trained.report)
    else:
        _print(trained.report, path)
    _log.info("to serve it: unzip -d FOLDER %s; wattstream estimate --store file:FOLDER", path)
    return 0


def _request(
    settings: Settings,
    file: Path,
    body: bytes,
    name: str | None,
    energy_source: str | None,
    trainers: tuple[str | None, str | None],
    idle: Path | None,
) -> TrainRequest:
    """What the file asks for, or what is to be asked of the answer in it; flags win."""
    import msgspec

    from server.training.request import TrainerSpec, TrainRequest, checked, decode_request

    try:
        is_request = "prom_response" in msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = error if body else "it is empty"
        raise WattstreamError(f"{file}: {why}") from error
    if is_request:
        request = decode_request(body)
    else:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).lstrip("._-")[:63]
        request = TrainRequest(
            name=stem or "models",
            energy_source=",".join(SOURCE_COMPONENTS),
            prom_response=msgspec.Raw(body),
            trainer=TrainerSpec(isolator=settings.isolator, isolator_args=_hints(settings)),
        )
    spec: dict[str, Any] = {"abs_trainers": trainers[0], "dyn_trainers": trainers[1]}
    if idle is not None:
        spec["idle_prom_response"] = msgspec.Raw(_body(idle))
    changes: dict[str, Any] = {
        "name": name,
        "energy_source": energy_source,
        "trainer": _changed(request.wanted, spec),
    }
    return checked(_changed(request, changes))


def _changed(what: Any, changes: dict[str, Any]) -> Any:
    """The struct with those changes that are not None."""
    import msgspec

    given = {key: value for key, value in changes.items() if value is not None}
    return msgspec.structs.replace(what, **given)


def _hints(settings: Settings) -> dict[str, Any]:
    given = {"bg_hints": settings.bg_hints, "target_hints": settings.target_hints}
    return {name: list(hints) for name, hints in given.items() if hints}


def _body(file: Path) -> bytes:
    from server.training.mapped import mapped

    try:
        return mapped(file)
    except OSError as error:
        raise MisuseError(f"{file}: {error.strerror or error}") from error


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
