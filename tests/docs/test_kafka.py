"""`docs/kafka.md` says what the code and the tests know, and its example works.

``python -m tests.docs.test_kafka`` writes the page's table of ACLs anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from stream.log.kafka_clients import OLDEST_BROKER
from stream.log.kafka_security import MECHANISMS, PROTOCOLS
from stream.log.kafka_topics import COMPRESSION, MAX_MESSAGE_BYTES
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC
from tests.kafka.acls import table
from tests.kafka.secured import SecuredBroker
from tests.server.commands.inside import Run, runner
from tests.server.commands.traces import write_trace

FILE: Final = Path(__file__).parents[2] / "docs" / "kafka.md"
PAGE: Final = FILE.read_text(encoding="utf-8")
_TABLE: Final = re.compile(r"<!-- acls: begin -->\n(.*?)\n<!-- acls: end -->", re.DOTALL)


def block(language: str) -> str:
    """The page's only block of code in that language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_table_of_acls_is_that_of_the_tests() -> None:
    found = _TABLE.search(PAGE)
    assert found is not None
    assert found[1] == table()


@pytest.mark.parametrize("name", [*PROTOCOLS, *MECHANISMS, USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC])
def test_names_are_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_figures_are_those_of_the_code() -> None:
    assert f"{OLDEST_BROKER} is the oldest" in PAGE
    assert f"**Compression** is {COMPRESSION}" in PAGE
    assert f"**records** may have {MAX_MESSAGE_BYTES >> 20} MiB" in PAGE


@pytest.mark.slow
def test_the_worked_example_works(
    own_secured_kafka: SecuredBroker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broker = own_secured_kafka
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        ["bash", "-euc", block("sh").replace("broker:9092", broker.address)],
        check=True,
        capture_output=True,
        timeout=100,
        env={**os.environ, "PATH": path},
    )
    (tmp_path / "password").write_text("correct horse\n")
    settings = (
        block("toml")
        .replace("kafka://broker:9093", broker.url_of("SCRAM"))
        .replace("/run/secrets/kafka-password", str(tmp_path / "password"))
        .replace("/etc/wattstream/kafka-ca.pem", str(broker.authority.path))
    )
    (tmp_path / "wattstream.toml").write_text(settings)
    write_trace(tmp_path / "trace.csv")
    wattstream: Run = runner(tmp_path, monkeypatch, capsys)
    found = wattstream("collect", "--config", "wattstream.toml", "--source", "trace.csv")
    assert found.status == 0, found.err


def write() -> None:
    """Write the table anew."""
    FILE.write_text(
        _TABLE.sub(lambda _: f"<!-- acls: begin -->\n{table()}\n<!-- acls: end -->", PAGE),
        encoding="utf-8",
    )


if __name__ == "__main__":
    write()
