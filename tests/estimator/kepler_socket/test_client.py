import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from estimator.errors import WattstreamError
from estimator.kepler_socket.client import ask
from tests.estimator.served import power_request


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        yield listening


def answering(listener: socket.socket, pieces: list[bytes]) -> threading.Thread:
    """Take one request; answer in these pieces; hang up."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            for piece in pieces:
                connection.sendall(piece)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_answer_in_pieces(listener: socket.socket, tmp_path: Path) -> None:
    thread = answering(listener, [b'{"powers":{"pack', b'age":[1.5]},"msg":"}"}'])
    answer = ask(tmp_path / "s", power_request([[1.0]]))
    thread.join()
    assert answer == {"powers": {"package": [1.5]}, "msg": "}"}


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([], "hung up without a whole answer"),
        ([b'{"powers":{'], "hung up without a whole answer"),
        ([b"{]}"], "the answer is not JSON"),
        ([b"<html>"], "the answer is not a JSON object"),
    ],
)
def test_bad_answers_are_one_line(
    pieces: list[bytes], said: str, listener: socket.socket, tmp_path: Path
) -> None:
    thread = answering(listener, pieces)
    with pytest.raises(WattstreamError, match=f"^socket {tmp_path}/s: .*{said}"):
        ask(tmp_path / "s", power_request([[1.0]]))
    thread.join()


def test_nobody_there(tmp_path: Path, listener: socket.socket) -> None:
    with pytest.raises(WattstreamError, match="is not there; is an estimator running"):
        ask(tmp_path / "none", {})
    listener.close()
    with pytest.raises(WattstreamError, match="nobody listens; is an estimator running"):
        ask(tmp_path / "s", {})
    with pytest.raises(WattstreamError, match="too long"):
        ask(tmp_path / ("x" * 200), {})


def test_silence(tmp_path: Path, listener: socket.socket) -> None:
    with pytest.raises(WattstreamError, match=r"no answer within 0\.05 s"):
        ask(tmp_path / "s", {}, timeout_seconds=0.05)
