"""Every expression of the rules and dashboards, asked of a Prometheus that scraped the fleet."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from estimator.errors import WattstreamError
from estimator.kepler_socket.client import ask
from tests.compose.expressions import (
    Expression,
    answered_always,
    expressions,
    need_prometheus,
)
from tests.compose.native import Native, wait_until_healthy
from tests.compose.test_native import REQUEST
from tests.kafka.fixtures import need_kafka
from tests.server.commands.processes import PATIENCE_SECONDS, eventually, short_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FLEET = {
    "WATTSTREAM_INTERVAL": "1",
    "WATTSTREAM_MODELS_INTERVAL": "1",
    # Enough nodes of each partition that one of them is held out.
    "WATTSTREAM_SOURCE": "sim:40",
    "WATTSTREAM_PARTITIONS": "2",
}
SCRAPED_SECONDS = 1.0
RATE_INTERVAL = "30s"
LEARNED_OF_THE_PAST = 'model:wattstream_model_mae_watts:max_avg_over_time1d{horizon_seconds="300"}'
LEARNED_SINCE = (
    "wattstream_model_transfer_mae_watts",
    "rate(wattstream_estimator_request_duration_seconds_count[30s]) > 0",
    "rate(wattstream_learner_dropped_total[30s])",
    'rate(wattstream_source_records_total{source=~"sim.*"}[30s])',
)


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, sockets: Path) -> Iterator[httpx.Client]:
    """Has scraped all services at work, and evaluated the rules."""
    need_prometheus()
    need_kafka()
    folder = tmp_path_factory.mktemp("fleet")
    native = Native(folder, sockets, FLEET)
    collector = native.services["collector"]
    # First the past alone, to its end: beside nodes of now it could come too late.
    past = ("--source", f"trace:{_past(folder / 'past.csv')}")
    native.services["collector"] = collector._replace(words=(*collector.words[:2], *past))
    with native:
        native.start_prometheus(SCRAPED_SECONDS)
        wait_until_healthy(native, "prometheus")
        with httpx.Client(base_url=native.prometheus, trust_env=False, timeout=30) as client:
            assert native.programs.pop("collector").wait() == 0
            _wait_for(native, client, LEARNED_OF_THE_PAST)
            native.start(collector)
            for text in LEARNED_SINCE:
                _wait_for(native, client, text)
            yield client


def _past(path: Path) -> Path:
    """A trace of the last half hour: a model's error as of minutes ago is known at once."""
    began = time.time() - 1800
    lines = ["timestamp,bpf_cpu_time_ms,bpf_page_cache_hit,package_power,dram_power,platform_power"]
    for row in range(600):
        busy = 1000 * (8 + 7 * math.sin(row / 25))
        package = 40 + 0.004 * busy + row % 3
        watts = f"{package},{package / 8},{package * 1.3}"
        lines.append(f"{began + 3 * row},{busy},{busy / 2},{watts}")
    path.write_text("\n".join(lines) + "\n")
    return path


def _wait_for(native: Native, client: httpx.Client, text: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not _answer(client, text):
        assert time.monotonic() < until, f"no answer to {text}: {_state(client)}"
        _ask(native)
        time.sleep(0.5)


def _ask(native: Native) -> None:
    """Have the server and the estimator answer something, which they count."""
    httpx.get(f"{native.http}/models", trust_env=False, timeout=30)
    with contextlib.suppress(WattstreamError):
        ask(native.sockets / "estimator.sock", REQUEST)


def _state(client: httpx.Client) -> dict[str, list[str]]:
    """Whether something is learned at all, and how far behind, for whoever reads the failure."""
    return {
        text: [one["value"][1] for one in _answer(client, text)]
        for text in ("up", "wattstream_learner_samples_total", "wattstream_learner_lag_records")
    }


def _answer(client: httpx.Client, text: str) -> list[dict[str, Any]]:
    response = client.get("/api/v1/query", params={"query": text})
    said = response.json()
    assert said["status"] == "success", f"{text}: {said}"
    assert said["data"]["resultType"] == "vector", text
    found: list[dict[str, Any]] = said["data"]["result"]
    return found


@pytest.mark.parametrize("expression", expressions(RATE_INTERVAL), ids=lambda one: str(one.where))
def test_an_expression_answers_with_data(prometheus: httpx.Client, expression: Expression) -> None:
    def numbers() -> list[float]:
        answer = _answer(prometheus, answered_always(expression.text))
        return [value for one in answer if math.isfinite(value := float(one["value"][1]))]

    # What a rule records of a rate is there a few scrapes after the rate.
    assert eventually(numbers, 60.0)


def test_what_is_not_there_answers_nothing(prometheus: httpx.Client) -> None:
    for text in ("wattstream_nothing > 0", "wattstream_models > 0 and wattstream_nothing == 0"):
        assert _answer(prometheus, answered_always(text)) == []


def test_every_job_of_ours_is_scraped(prometheus: httpx.Client) -> None:
    up = _answer(prometheus, "up")
    assert {one["metric"]["job"] for one in up} == {
        *(f"wattstream-{part}" for part in ("collector", "learner", "server", "trainer")),
        *("wattstream-estimator", "prometheus"),
    }
    assert {one["value"][1] for one in up} == {"1"}


def test_rules_are_evaluated_without_a_fault_and_nothing_is_wrong(
    prometheus: httpx.Client,
) -> None:
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    assert len(groups) == 4
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
    firing = {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}
    # Errors of the first minute are anything; all that is about the pipeline must be silent.
    assert firing <= {"WattstreamModelDrifted", "WattstreamModelDriftsOften"}
