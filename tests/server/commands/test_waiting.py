"""Commands that are started before the broker is there."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM

import httpx
import pytest

from tests.kafka.broker import Broker, free_ports
from tests.kafka.fixtures import need_kafka
from tests.server.commands.processes import Command, answers, eventually, figures

pytestmark = pytest.mark.slow


def test_learner_and_collector_wait_for_a_broker_and_say_so(tmp_path: Path) -> None:
    need_kafka()
    broker = Broker(tmp_path / "kafka", *free_ports(2))
    learn_port, collect_port = free_ports(2)
    common = ["--log", broker.url, "--partitions", 2]
    learn = ["learn", "--data", tmp_path / "l", "--metrics-port", learn_port, *common]
    learn += ["--commit-interval", 0.3, "--session-timeout", 2]
    collect = ["collect", "--data", tmp_path / "c", "--metrics-port", collect_port, *common]
    collect += ["--source", "sim", "--interval", 0.2]
    urls = [f"http://127.0.0.1:{port}" for port in (learn_port, collect_port)]
    with ExitStack() as stack:
        commands = [stack.enter_context(Command(tmp_path, words)) for words in (learn, collect)]
        for url in urls:
            eventually(lambda url=url: answers(f"{url}/healthz"))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
            eventually(lambda url=url: "waiting" in httpx.get(f"{url}/readyz").text)  # type: ignore[misc]  # the same
            answer = httpx.get(f"{url}/readyz", trust_env=False)
            assert answer.status_code == 503
            assert f"waiting for the log: log {broker.url}: no broker answers" in answer.text
        stack.enter_context(broker)
        for url in urls:
            eventually(lambda url=url: answers(f"{url}/readyz"))  # type: ignore[misc]  # the same
        eventually(lambda: figures(urls[0]).get("wattstream_learner_samples_total", 0) > 5)
        assert figures(urls[0])["wattstream_learner_partitions"] == 2
        assert figures(urls[1])["wattstream_source_up"] == 1
        for command in commands:
            assert command.said.count("waiting for the log") == 1
            assert f"{broker.url} is there" in command.said
            assert command.stop(SIGTERM) == 0


def test_who_waits_for_a_broker_can_be_stopped(tmp_path: Path) -> None:
    url = f"kafka://127.0.0.1:{free_ports(1)[0]}"
    for words in (["learn"], ["collect", "--source", "sim"]):
        with Command(tmp_path, [*words, "--data", tmp_path / words[0], "--log", url]) as command:
            eventually(lambda: "waiting for the log" in command.said)
            assert command.stop(SIGTERM, 30) == 0
