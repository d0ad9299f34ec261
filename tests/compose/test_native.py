"""All services of the compose file at work, but without an engine: a model is served and asked."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from estimator.errors import WattstreamError
from estimator.kepler_socket.client import ask
from tests.compose.native import Native, wait_until_healthy
from tests.kafka.fixtures import need_kafka
from tests.server.commands.processes import PATIENCE_SECONDS, eventually, figures, short_folder

pytestmark = pytest.mark.slow

SOONER = {"WATTSTREAM_INTERVAL": "0.5", "WATTSTREAM_MODELS_INTERVAL": "1"}
"""As somebody who tries it would set in the environment."""
REQUEST = {
    "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
    "values": [[2000.0, 3000.0]],
    "output_type": "AbsPower",
    "source": "rapl-sysfs",
    "system_features": [],
    "system_values": [],
    "trainer_name": "",
    "filter": "",
}


@pytest.fixture
def native(tmp_path: Path) -> Iterator[Native]:
    need_kafka()
    with short_folder() as sockets, Native(tmp_path, sockets, SOONER) as running:
        yield running


@pytest.mark.timeout(600)
def test_a_model_is_served_and_power_is_answered(native: Native) -> None:
    wait_until_healthy(native, "server")  # which it is once there is a model
    wait_until_healthy(native, "estimator")
    models = httpx.get(f"{native.http}/models", trust_env=False).json()
    assert "rapl-sysfs" in {model["key"]["source"] for model in models}

    def answered() -> bool:
        try:
            answer = ask(native.sockets / "estimator.sock", REQUEST)
        except WattstreamError:
            return False
        return not answer["msg"] and answer["powers"]["package"][0] > 0

    eventually(answered)
    for name in ("collector", "learner-1", "learner-2", "trainer"):
        wait_until_healthy(native, name)
    learners = [native.metrics_url(name) for name in ("learner-1", "learner-2")]
    eventually(
        lambda: [figures(url).get("wattstream_learner_partitions") for url in learners] == [6, 6]
    )
    for name in native.services:
        program = native.programs[name]
        assert program.is_running, program.said
        assert program.stop(signal.SIGTERM, PATIENCE_SECONDS) == 0, program.said
