"""How many requests a second the model server answers, beside an endpoint that does nothing.

Both run in the same process layout: uvicorn in a process of its own, clients in others. The ratio
to the trivial endpoint says what the model server itself costs, whatever machine this is.
"""

from __future__ import annotations

import http.client
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from estimator.vocabulary import FEATURE_GROUPS
from server.app import make_app
from server.web.http_server import HttpServer
from tests.server.fakes import make_entry

WEIGHTS: Final = {
    "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
    "output_type": "AbsPower",
    "source": "intel_rapl",
    "weight": True,
    "trainer_name": "SGDRegressorTrainer",
    "filter": "",
    "node_type": 0,
}
ARCHIVE: Final = {**WEIGHTS, "weight": False, "trainer_name": ""}


class Case(NamedTuple):
    """A request to repeat: by so many clients, on connections of their own or a new one each."""

    name: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}
    clients: int = 1
    keep_alive: bool = True
    trivial: bool = False


class Measured(NamedTuple):
    """What came of a case."""

    per_second: float
    p50_ms: float
    p99_ms: float
    bytes: int


CASES: Final = (
    Case("trivial endpoint", "/model", WEIGHTS, trivial=True),
    Case("POST /model, weights", "/model", WEIGHTS),
    Case("trivial endpoint", "/model", WEIGHTS, keep_alive=False, trivial=True),
    Case("POST /model, weights", "/model", WEIGHTS, keep_alive=False),
    Case("trivial endpoint", "/model", WEIGHTS, clients=16, trivial=True),
    Case("POST /model, weights", "/model", WEIGHTS, clients=16),
    Case("POST /model, archive", "/model", ARCHIVE),
    Case("POST /model, archive, 304", "/model", ARCHIVE, {"if-none-match": "*"}),
    Case("GET /best-models", "/best-models"),
    Case("GET /models, 304", "/models", headers={"if-none-match": "*"}),
)


def trivial_app() -> Starlette:
    """Reads the body and answers with a constant."""

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(b"x" * 1000, media_type="application/json")

    app = Starlette(routes=[Route("/model", answer, methods=["POST"])])
    # What `HttpServer` asks of an application.
    app.state.stopping = multiprocessing.Event()
    return app


def model_app() -> Starlette:
    """A store in memory with a model of every feature group, for RAPL and ACPI."""
    models = ModelStore(open_store("memory:"))
    for group in FEATURE_GROUPS:
        for source in ("rapl-sysfs", "acpi"):
            entry = make_entry(group, source)
            models.publish(Artifact(entry.manifest, entry.model))
    catalog = Catalog(models)
    catalog.refresh()
    return make_app(catalog, models)


def _serve(make: Callable[[], Starlette], pipe: Connection) -> None:
    with HttpServer(make(), "127.0.0.1", 0) as server:
        pipe.send(server.port)
        pipe.recv()


@contextmanager
def serving(make: Callable[[], Starlette]) -> Iterator[int]:
    """The application in a process of its own; gives its port."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(make, theirs))
    process.start()
    try:
        yield ours.recv()
        ours.send("stop")
    finally:
        process.join(20)


def _client(port: int, case: Case, requests: int, pipe: Connection) -> None:
    """Send the requests one after the other; gives their times in seconds and the last size."""
    body = None if case.body is None else json.dumps(case.body).encode()
    method = "GET" if body is None else "POST"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times, size = [], 0
    pipe.send("ready")
    pipe.recv()
    for _ in range(requests):
        began = time.perf_counter()
        connection.request(method, case.path, body, dict(case.headers))
        response = connection.getresponse()
        size = len(response.read())
        if not case.keep_alive:
            connection.close()
        times.append(time.perf_counter() - began)
        assert response.status in (200, 304), response.status
    pipe.send((times, size))


def measure(port: int, case: Case, requests: int) -> Measured:
    """Run the case with so many requests in all."""
    fork = multiprocessing.get_context("fork")
    pipes = []
    for _ in range(case.clients):
        ours, theirs = fork.Pipe()
        share = requests // case.clients
        fork.Process(target=_client, args=(port, case, share, theirs), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    results = [pipe.recv() for pipe in pipes]
    seconds = time.perf_counter() - began
    times = sorted(one for found, _ in results for one in found)
    return Measured(
        per_second=len(times) / seconds,
        p50_ms=_percentile(times, 50) * 1000,
        p99_ms=_percentile(times, 99) * 1000,
        bytes=results[0][1],
    )


def _percentile(ordered: list[float], percent: float) -> float:
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def main(requests: int = 3200) -> None:
    """Measure all cases and print a table."""
    print("model server, one uvicorn worker")
    print(
        f"{'request':28} {'clients':>7} {'connection':>10} {'req/s':>8} {'p50 ms':>7} {'p99 ms':>7}"
    )
    with serving(trivial_app) as trivial, serving(model_app) as ours:
        for case in CASES:
            port = trivial if case.trivial else ours
            measure(port, case, 10 * case.clients)
            found = measure(port, case, requests)
            kept = "kept" if case.keep_alive else "new"
            print(
                f"{case.name:28} {case.clients:7} {kept:>10} {found.per_second:8.0f} "
                f"{found.p50_ms:7.2f} {found.p99_ms:7.2f}"
            )


if __name__ == "__main__":
    main()
