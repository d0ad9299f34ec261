from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from server.training.child import REQUEST, RESULT, Order, Told, learn
from tests.server.training.answers import answer, body

ORDER = Order(["ridge"], 1024)


def test_says_how_much_is_done_and_then_what_came_of_it(tmp_path: Path) -> None:
    (tmp_path / REQUEST).write_bytes(body())
    said = io.BytesIO()
    learn(tmp_path, ORDER, said)
    told = [msgspec.json.decode(line, type=Told) for line in said.getvalue().splitlines()]
    assert [one.done for one in told] == [1.0, None]
    assert told[-1].report is not None
    assert (tmp_path / RESULT).read_bytes().startswith(b"PK")


@pytest.mark.slow
def test_ends_when_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / REQUEST).write_bytes(body(prom_response=answer(points=40_000)))
    with subprocess.Popen(
        [sys.executable, "-m", "server.training.child", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(ORDER) + b"\n")
        process.stdin.close()
        assert process.wait(60) == 1
    assert not (tmp_path / RESULT).exists()
