from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from server.training.app import make_trainer_app
from server.training.child import Order, learn
from server.training.jobs import Jobs
from server.training.process import Outcome, Runner, last_word
from server.training.run import check_request
from server.web.http_server import HttpServer
from server.web.token import BearerToken
from stream.analysis.training import Fraction

EXPERTS = ("ridge",)
LIMIT = 1 << 20


def run_here(folder: Path, progress: Fraction, stop: Event) -> Outcome:
    """What a process of its own would do, without its start."""
    said = io.BytesIO()
    learn(folder, Order(list(EXPERTS), 1024), said)
    outcome = last_word(said.getvalue().splitlines(), progress)
    assert outcome is not None
    return outcome


class Held:
    """A runner that waits for a word."""

    def __init__(self) -> None:
        self.began, self.go = Event(), Event()

    def __call__(self, folder: Path, progress: Fraction, stop: Event) -> Outcome:
        progress(0.25)
        self.began.set()
        while not self.go.is_set() and not stop.wait(0.01):
            pass
        return run_here(folder, progress, stop) if self.go.is_set() else Outcome(None, 503, "no")


class Trainer(httpx.Client):
    """A client of a trainer that really listens, and what is behind it."""

    jobs: Jobs
    folder: Path

    def train(self, content: bytes, **more: Any) -> httpx.Response:
        return self.post("/train", content=content, timeout=60, **more)


Train = Callable[..., Trainer]


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Train]:
    """Makes trainers; they are closed at the end."""
    with ExitStack() as stack:

        def make(
            run: Runner = run_here,
            *,
            token: BearerToken | None = None,
            waiting: int = 4,
            keep_seconds: float = 3600.0,
            limit: int = LIMIT,
            silent_seconds: float = 30.0,
            **more: Any,
        ) -> Trainer:
            folder = tmp_path / "training"
            jobs = Jobs(folder, run, waiting=waiting, keep_seconds=keep_seconds, **more)
            app = make_trainer_app(
                jobs,
                lambda asked: check_request(asked, EXPERTS),
                token or BearerToken(),
                limit,
                silent_seconds,
            )
            server = stack.enter_context(HttpServer(app, "127.0.0.1", 0))
            client = stack.enter_context(Trainer(base_url=server.url))
            client.jobs, client.folder = jobs, folder
            return client

        yield make
