"""Every row of the table in `docs/estimator.md`, tried alone and with fifty good clients beside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog
from estimator.kepler_socket.answering import Answerer
from estimator.kepler_socket.desk import Limits
from estimator.kepler_socket.socket_server import EstimatorServer
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from tests.estimator.served import AT_MS, plain_entry, power_request
from tests.estimator.socket_clients import ANSWER, GOOD, PATIENT, connected, eventually, read_all

PAGE: Final = Path(__file__).parents[3] / "docs" / "estimator.md"
DEADLINE: Final = 3.0

Try = Callable[[Path], None]
TRIES: dict[str, Try] = {}


def row(name: str) -> Callable[[Try], Try]:
    """What is tried under this name in the table."""

    def add(attempt: Try) -> Try:
        TRIES[name] = attempt
        return attempt

    return add


def good(path: Path) -> bytes:
    """As Kepler does: one write, one read of 4,096 bytes."""
    with connected(path) as connection:
        connection.sendall(GOOD)
        return connection.recv(4096)


def sent(path: Path, request: bytes) -> bytes:
    """All that comes back for these bytes, until the server hangs up or has answered."""
    with connected(path) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def asked(path: Path, **changes: Any) -> dict[str, Any]:
    request = {**power_request([[1024.0]]), **changes}
    answer: dict[str, Any] = json.loads(sent(path, json.dumps(request).encode()))
    return answer


def package(answer: dict[str, Any]) -> list[float]:
    found: list[float] = answer["powers"]["package"]
    assert {len(values) for values in answer["powers"].values()} == {len(found)}
    return found


@row("connects and leaves")
def leaves(path: Path) -> None:
    with connected(path):
        pass


@row("connects and stays silent")
def is_silent(path: Path) -> None:
    with connected(path) as connection:
        assert read_all(connection) == b""


@row("sends half a request, then nothing")
def stops_halfway(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(GOOD[: len(GOOD) // 2])
        assert read_all(connection) == b""


@row("sends one byte a second")
def drips(path: Path) -> None:
    # A fiftieth of the deadline between two bytes: they do not put it off.
    with connected(path) as connection:
        connection.settimeout(DEADLINE / 50)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in GOOD:
                connection.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    assert connection.recv(4096) == b""
                    break
            else:
                pytest.fail("it was let finish")


@row("1 MiB of noise")
def noise(path: Path) -> None:
    answer = json.loads(sent(path, b"x" * (1 << 20)))
    assert answer["powers"] == {}
    assert "begins with" in answer["msg"]


@row("1 MiB of noise in braces")
def noise_in_braces(path: Path) -> None:
    answer = json.loads(sent(path, b"{" + b"x" * (1 << 20) + b"}"))
    assert answer["powers"] == {}
    assert "is not JSON" in answer["msg"]


@row("1 MiB after an opening brace, and no closing one")
def open_noise(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(b"{" + b"x" * (1 << 20))
        assert read_all(connection) == b""


@row("100 MiB of request")
def very_long(path: Path) -> None:
    with connected(path) as connection:
        piece = b'{"metrics":["' + b"x" * (1 << 20)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                connection.sendall(piece.replace(b'{"metrics":["', b"x" * 13) if _ else piece)
            pytest.fail("all of it was taken")
        data = read_all(connection)
    assert not data or "more than" in json.loads(data)["msg"]


@row("1,000 connections at once")
def many(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        with contextlib.ExitStack() as stack:
            try:
                all_of_them = [stack.enter_context(connected(path)) for _ in range(1000)]
            except OSError as error:
                pytest.skip(f"needs 2,000 open files: {error}")
            for connection in all_of_them:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(GOOD)
            answers = [read_one(connection) for connection in all_of_them]
        # Those that were past the deadline before they had written are hung up on.
        assert answers.count(ANSWER) > 0
        assert set(answers) <= {ANSWER, b""}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def read_one(connection: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(4096)
    return b""


@row("invalid UTF-8")
def invalid_utf8(path: Path) -> None:
    answer = json.loads(sent(path, GOOD.replace(b"unknown", b"\xff\xfe")))
    assert package(answer) == [26, 42]
    assert "is not UTF-8" in answer["msg"] or answer["msg"] == ""


@row("objects or lists nested 100,000 deep")
def nested(path: Path) -> None:
    for deep in (b'{"a":' * 100_000, b'{"values":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        answer = json.loads(sent(path, deep))
        assert answer["powers"] == {}
        assert answer["msg"]


@row("NaN, infinity, null, a text, a negative number")
def no_rates(path: Path) -> None:
    for bad in ("NaN", "Infinity", "null", '"x"', "-1", "1e999", "true", "[1]"):
        request = GOOD.replace(b"1024.0", bad.encode())
        answer = json.loads(sent(path, request))
        assert package(answer) == [10, 42]
        assert "values[0]" in answer["msg"]


@row("rows of differing length")
def ragged(path: Path) -> None:
    answer = asked(path, values=[[1024.0], [1.0, 2.0], []])
    assert package(answer) == [26, 10, 10]
    assert "values[1]: has 2 numbers for 1 metrics" in answer["msg"]


@row("no rows")
def no_rows(path: Path) -> None:
    answer = asked(path, values=[])
    assert package(answer) == []
    assert "no rows" in answer["msg"]


@row("10,000 rows")
def ten_thousand(path: Path) -> None:
    answer = asked(path, values=[[float(at % 8192)] for at in range(10_000)])
    assert package(answer)[:3] == [10, 10.016, 10.031]
    assert len(package(answer)) == 10_000
    assert answer["msg"] == ""


@row("no features")
def no_features(path: Path) -> None:
    answer = asked(path, metrics=[], values=[[], []])
    assert package(answer) == [0, 0]
    assert "metrics: there are none" in answer["msg"]


@row("unknown features only")
def unknown_features(path: Path) -> None:
    answer = asked(path, metrics=["a"], values=[[1.0], [2.0]])
    assert package(answer) == [0, 0]
    assert "models need bpf_cpu_time_ms" in answer["msg"]


@row("a feature twice")
def duplicated_features(path: Path) -> None:
    answer = asked(path, metrics=["bpf_cpu_time_ms"] * 2, values=[[1024.0, 2048.0]])
    assert package(answer) == [26]
    assert "comes twice; the first counts" in answer["msg"]


@row("an unknown source")
def unknown_source(path: Path) -> None:
    answer = asked(path, source="moon")
    assert answer["powers"] == {"platform": [0]}
    assert "source is 'moon'" in answer["msg"]


@row("an unknown output type")
def unknown_output_type(path: Path) -> None:
    answer = asked(path, output_type="NoPower")
    assert package(answer) == [0]
    assert "output_type: 'NoPower' is none of" in answer["msg"]


@row("an unknown trainer, or a filter that no model passes")
def unknown_trainer(path: Path) -> None:
    for changes in ({"trainer_name": "Oracle"}, {"filter": "mae:0"}):
        answer = asked(path, **changes)
        assert package(answer) == [0]
        assert next(iter(changes.values())) in answer["msg"]


@row("rows that cannot be counted, for DynPower")
def uncountable(path: Path) -> None:
    assert sent(path, b'{"output_type":"DynPower"}') == b""


@row("never reads its answers")
def never_reads(path: Path) -> None:
    request = json.dumps(power_request([[1024.5 + at] for at in range(3000)])).encode()
    gone = contextlib.suppress(BrokenPipeError, ConnectionResetError)
    with connected(path) as connection, gone:
        for _ in range(1000):
            connection.sendall(request)
        pytest.fail("all of it was taken")


@row("is gone before its answer")
def is_gone(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(GOOD * 100)


def made(path: Path) -> EstimatorServer:
    """A server with a real catalog, that soon hangs up on the silent."""
    models = ModelStore(InMemoryStore())
    entry = plain_entry()
    models.publish(Artifact(entry.manifest, entry.model))
    catalog = Catalog(models)
    catalog.refresh()
    answerer = Answerer(catalog, None, lambda: AT_MS / 1000)
    limits = Limits(deadline_seconds=DEADLINE)
    return EstimatorServer(answerer, [path], refresh_seconds=1e6, limits=limits)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EstimatorServer]:
    with made(tmp_path / "e.sock") as server:
        yield server


def table_of(page: str) -> list[str]:
    """The first column of the table of bad input."""
    part = page.partition("## What bad input gets")[2].partition("\n## ")[0]
    return re.findall(r"^\| ([^|]+?) \|", part, re.MULTILINE)[2:]


def test_the_documentation_has_a_row_for_each() -> None:
    assert table_of(PAGE.read_text(encoding="utf-8")) == list(TRIES)


@pytest.mark.parametrize("name", TRIES)
def test_alone(name: str, server: EstimatorServer) -> None:
    (path,) = server.paths
    TRIES[name](path)
    assert good(path) == ANSWER
    assert eventually(lambda: server.counts.open_connections == 0)
    assert "internal" not in server.counts.errors


@pytest.mark.parametrize("name", TRIES)
def test_with_fifty_good_clients_beside(name: str, server: EstimatorServer) -> None:
    (path,) = server.paths
    with ThreadPoolExecutor(51) as pool:
        bad = pool.submit(TRIES[name], path)
        answers = list(pool.map(lambda _: good(path), range(200)))
        bad.result()
        answers += pool.map(lambda _: good(path), range(50))
    assert answers == [ANSWER] * 250
    assert "internal" not in server.counts.errors


SERVE: Final = """
import sys
from pathlib import Path
from estimator.kepler_socket.socket_server import serve
from tests.estimator.kepler_socket.test_bad_input import made

serve(made(Path(sys.argv[1])))
"""
MOST_GROWTH_MIB: Final = 16.0


def resident_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def median_seconds(path: Path) -> float:
    taken = []
    for _ in range(300):
        started = time.perf_counter()
        good(path)
        taken.append(time.perf_counter() - started)
    return sorted(taken)[150]


@pytest.mark.slow
def test_after_all_of_them_the_process_is_the_same(tmp_path: Path) -> None:
    path, root = tmp_path / "e.sock", Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", SERVE, str(path)], env=environment) as process:
        try:
            assert eventually(path.exists)
            for attempt in (ten_thousand, noise_in_braces, many):
                attempt(path)  # What is loaded when it is first needed stays.
            before, fast = resident_mib(process.pid), median_seconds(path)
            for attempt in TRIES.values():
                attempt(path)
            assert process.poll() is None
            assert good(path) == ANSWER
            assert eventually(lambda: resident_mib(process.pid) < before + MOST_GROWTH_MIB)
            # Generous: other processes come and go beside a test.
            assert eventually(lambda: median_seconds(path) < 2 * fast + 0.001)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENT) == 0
    assert not path.exists()
