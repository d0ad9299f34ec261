"""One power request to the socket, and the answer as a table."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from estimator.errors import MisuseError, WattstreamError
from estimator.settings import Settings
from server.commands.output import print_json, print_table, watts

SETTINGS = ("socket",)


def run(
    settings: Settings,
    usage: Annotated[
        list[str],
        typer.Argument(help="The features' rates per second, such as bpf_cpu_time_ms=2000"),
    ],
    output_type: Annotated[str, typer.Option(help="AbsPower or DynPower")] = "AbsPower",
    energy_source: Annotated[str, typer.Option(help="rapl-sysfs, acpi, ...")] = "rapl-sysfs",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer", min=0.001)] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as it came")] = False,
) -> int:
    """Ask the estimator how much power a node with this usage draws."""
    from estimator.client import ask

    features = dict(_feature(word) for word in usage)
    request = {
        "metrics": list(features),
        "values": [list(features.values())],
        "output_type": output_type,
        "source": energy_source,
        "system_features": [],
        "system_values": [],
        "trainer_name": "",
        "filter": "",
    }
    if not settings.socket:
        raise MisuseError("socket: no path is given")
    answer: dict[str, Any] = ask(settings.socket[0], request, timeout)
    complaint = answer.get("msg", "")
    if json:
        print_json(answer)
    elif complaint:
        raise WattstreamError(f"socket {settings.socket[0]}: {complaint}")
    else:
        powers: dict[str, list[float]] = answer.get("powers", {})
        rows = [[component, watts(values[0])] for component, values in powers.items()]
        print_table(["component", "W"], rows, f"{output_type} by {energy_source}")
    return 1 if complaint else 0


def _feature(word: str) -> tuple[str, float]:
    name, _, value = word.partition("=")
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not name or not math.isfinite(rate):
        raise MisuseError(f"{word!r} is not of the form feature=rate")
    return name, rate
