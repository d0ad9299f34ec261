"""Asks an estimator's socket, as Kepler does, but says what is wrong."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from estimator.errors import RequestError, WattstreamError
from estimator.kepler_socket.framing import Framer

MOST_BYTES: Final = 64 << 20
_PIECE: Final = 64 << 10


def ask(
    path: str | Path, request: Mapping[str, Any], timeout_seconds: float = 5.0
) -> dict[str, Any]:
    """The answer to one power request: ``powers``, ``msg`` and ``core_ratio``.

    ``WattstreamError`` if nobody answers in time, or not with a JSON object.
    """
    answer = ask_bytes(path, msgspec.json.encode(request), timeout_seconds)
    try:
        return msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise WattstreamError(f"socket {path}: the answer is not JSON: {error}") from error


def ask_bytes(path: str | Path, request: bytes, timeout_seconds: float = 5.0) -> bytes:
    """The answer to the bytes of one request; errors as `ask`."""
    until = time.monotonic() + timeout_seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_seconds)
            connection.connect(str(path))
            # A server that refuses a request may answer, and hang up, before it has read it all.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            return _read(connection, until)
    except TimeoutError as error:
        raise WattstreamError(f"socket {path}: no answer within {timeout_seconds:g} s") from error
    except FileNotFoundError as error:
        raise WattstreamError(f"socket {path}: is not there; is an estimator running?") from error
    except ConnectionRefusedError as error:
        raise WattstreamError(f"socket {path}: nobody listens; is an estimator running?") from error
    except OSError as error:
        raise WattstreamError(f"socket {path}: {error.strerror or error}") from error
    except RequestError as error:
        raise WattstreamError(f"socket {path}: the answer is not a JSON object") from error


def _read(connection: socket.socket, until: float) -> bytes:
    framer = Framer(MOST_BYTES)
    while (answer := framer.take()) is None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(_PIECE)
        if not piece:
            raise ConnectionError("it hung up without a whole answer")
        framer.feed(piece)
    return answer
