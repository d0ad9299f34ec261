"""What the trainer bears of clients that take their time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

from server.training.app import make_trainer_app
from server.training.child import REQUEST
from server.training.jobs import Jobs
from server.web.limits import CONCURRENT_REQUESTS
from server.web.token import BearerToken
from tests.server.training.conftest import Train, run_here


async def _never(_message: Any = None) -> Any:
    await asyncio.Event().wait()


def _scope(path: str, method: str = "GET") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}


def test_more_requests_than_fit_come_again_but_runs_are_counted_apart(tmp_path: Path) -> None:
    async def scenario() -> None:
        jobs = Jobs(tmp_path / "training", run_here, waiting=2, keep_seconds=60)
        app = make_trainer_app(jobs, lambda _: None, BearerToken(), 1000)
        statuses: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async with asyncio.TaskGroup() as group:
            waiting = [
                group.create_task(app(_scope("/healthz"), _never, _never))
                for _ in range(CONCURRENT_REQUESTS)
            ]
            await asyncio.sleep(0)
            await app(_scope("/healthz"), _never, send)
            assert statuses == [503]
            train = group.create_task(app(_scope("/train", "POST"), _never, send))
            while not list(tmp_path.glob(f"training/*/{REQUEST}")):
                await asyncio.sleep(0)
            for task in (*waiting, train):
                task.cancel()
        await app(_scope("/healthz"), _never, send)
        assert statuses == [503, 200]
        assert jobs.states()["receiving"] == 0

    asyncio.run(scenario())


def test_a_slash_too_much_is_not_sent_elsewhere(trainer: Train) -> None:
    assert trainer().get("/healthz/").status_code == 404


def test_who_sends_a_byte_at_a_time_is_hung_up_on(trainer: Train) -> None:
    client = trainer(silent_seconds=0.5)
    address = client.base_url.host, client.base_url.port
    with socket.create_connection(address, timeout=0.05) as connection:
        connection.sendall(b"POST /train HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        answer = b""
        for _ in range(900):
            connection.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1 << 16)
                break
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert client.jobs.states()["receiving"] == 0
