"""One power request to the socket, and the answer as a table."""

from __future__ import annotations

import logging
import math
from typing import Annotated, Any

import typer

from estimator.errors import MisuseError, WattstreamError
from estimator.settings import Settings
from server.commands.output import print_json, print_table, watts

SETTINGS = ("socket",)

_log = logging.getLogger(__name__)


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
    from estimator.kepler_socket.client import ask

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
    remark = answer.get("msg", "")
    powers: dict[str, list[float]] = answer.get("powers", {})
    # With a remark zeros stand for what is not known; watts, such as an imported model's, count.
    has_failed = bool(remark) and not any(map(any, powers.values()))
    if json:
        print_json(answer)
    elif has_failed:
        raise WattstreamError(f"socket {settings.socket[0]}: {remark}")
    else:
        rows = [[component, watts(values[0])] for component, values in powers.items()]
        print_table(["component", "W"], rows, f"{output_type} by {energy_source}")
        if remark:
            _log.warning("%s", remark)
    return 1 if has_failed else 0


def _feature(word: str) -> tuple[str, float]:
    name, _, value = word.partition("=")
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not name or not math.isfinite(rate):
        raise MisuseError(f"{word!r} is not of the form feature=rate")
    if rate < 0:
        raise MisuseError(f"{word!r}: no rate is below 0")
    return name, rate
