"""Recorded Prometheus answers, made up: a node whose power follows what its containers do."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any, Final

IDLE: Final = Path(__file__).parents[4] / "shared/data/kepler_prometheus_idle.json"
"""A real one, of a machine at rest."""
START: Final = 1_700_000_000
STEP: Final = 3

Answer = dict[str, list[dict[str, Any]]]


def series(labels: dict[str, str], values: list[float]) -> dict[str, Any]:
    points = [[START + STEP * place, f"{value:g}"] for place, value in enumerate(values)]
    return {"metric": {"instance": "n1", **labels}, "values": points}


def answer(points: int = 20, containers: int = 2, source: str = "rapl-sysfs") -> Answer:
    """CPU time and page cache hits that go up and down, and the energy that they cost."""
    busy = [[(place * (3 + c)) % 7 * 100.0 for place in range(points)] for c in range(containers)]
    total = [sum(row[place] for row in busy) for place in range(points)]
    watts = [20 + used / 50 for used in total]
    energy = "platform" if source == "acpi" else "package"
    made: Answer = {
        f"kepler_container_{feature}_total": [
            series({"container_id": f"c{number}"}, _summed([use * factor for use in row]))
            for number, row in enumerate(busy)
        ]
        for feature, factor in (("bpf_cpu_time_ms", STEP), ("bpf_page_cache_hit", 7 * STEP))
    }
    labels = {"source": source, "mode": "dynamic", "package": "0"}
    made[f"kepler_node_{energy}_joules_total"] = [
        series(labels, _summed([w * STEP for w in watts]))
    ]
    return made


def _summed(amounts: list[float]) -> list[float]:
    found, total = [], 0.0
    for amount in amounts:
        total += amount
        found.append(round(total, 6))
    return found


def request(prom_response: object = None, **changes: object) -> dict[str, Any]:
    """A request that is right, but for what is changed; None leaves a key out."""
    made = {
        "name": "made-up",
        "energy_source": "rapl-sysfs",
        "trainer": {"abs_trainers": ["SGDRegressorTrainer"], "isolator": "min"},
        "prom_response": answer() if prom_response is None else prom_response,
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


def body(**changes: Any) -> bytes:
    return json.dumps(request(**changes)).encode()


def zipped(
    data: bytes, name: str = "request.json", *more: str, how: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for member in (name, *more):
            archive.writestr(member, data)
    return buffer.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1)
