"""The estimator's unix socket: several paths, one loop, models refreshed in the background."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from estimator.errors import MisuseError
from estimator.kepler_socket.answering import Answerer
from estimator.kepler_socket.counts import Counts
from estimator.kepler_socket.desk import Desk, Limits
from estimator.kepler_socket.exporter import export
from estimator.kepler_socket.metrics_server import MetricsServer
from estimator.kepler_socket.refresher import Refresher
from estimator.kepler_socket.socket_path import Access, BoundSocket
from estimator.system.memory import settle_allocation
from estimator.system.notify import Notifier

_log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 2.0
"""Clients wait so long at most for the first models; then they are told that there are none."""

_SPARE_FILES: Final = 64
"""Files beside connections: the store's, the log's, the listeners'."""
_SWITCH_SECONDS: Final = 0.0005
_TICK_SECONDS: Final = 0.1
"""So often deadlines and the stop event are looked at."""


class Export(Protocol):
    """What is shown at a port of its own: `export.power_export.PowerExport`."""

    def page(self) -> str:
        """The page as it is now."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class Exported(NamedTuple):
    """An export, and the host (empty for all addresses) and port at which it is shown."""

    export: Export
    address: tuple[str, int]


class EstimatorServer:
    """Serves an answerer at unix sockets; ``refresh`` is called in the background.

    The paths are taken by `bind`, before any model is loaded, so that Kepler never finds its
    socket missing. Then either `run` in this thread, `run_until_stopped` in a loop, or ``with``,
    which runs it in a thread of its own.
    """

    def __init__(
        self,
        answerer: Answerer,
        paths: Sequence[str | Path],
        *,
        refresh: Callable[[], object] = lambda: None,
        refresh_seconds: float = REFRESH_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        access: Access = Access(),  # noqa: B008  # it cannot be changed
        metrics_port: int = 0,
        export: Exported | None = None,
        limits: Limits | None = None,
        counts: Counts | None = None,
    ) -> None:
        if not paths:
            raise MisuseError("socket: no path is given")
        self.paths = tuple(dict.fromkeys(Path(path) for path in paths))
        self.counts = counts or Counts()
        self._answerer = answerer
        self.limits = limits or Limits()
        self._access = access
        self._metrics_port = metrics_port
        self.metrics: MetricsServer | None = None
        self._exported = export
        self.export: MetricsServer | None = None
        self._patience = patience_seconds
        self._bound: list[BoundSocket] = []
        self._closing = ExitStack()
        self._refresher = Refresher(refresh, refresh_seconds, self.counts)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def bind(self) -> None:
        """Take all paths, or none; ``WattstreamError`` if one is in use. Once only."""
        if self._bound:
            return
        with ExitStack() as opened:
            for path in self.paths:
                bound = BoundSocket(path, self._access)
                opened.callback(bound.close)
                self._bound.append(bound)
            if self._metrics_port:
                self.metrics = MetricsServer(self._export, self._metrics_port)
                opened.callback(self.metrics.close)
            if self._exported is not None:
                host, port = self._exported.address
                page = self._exported.export.page
                self.export = MetricsServer(page, port, host, "export")
                opened.callback(self.export.close)
            self._closing = opened.pop_all()

    def close(self) -> None:
        """Give up the paths without having served; after serving there is nothing to do."""
        self._closing.close()

    def refresh_now(self) -> None:
        """Look for new models now; what a SIGHUP should call. Does not wait."""
        self._refresher.refresh_now()

    def _export(self) -> str:
        return export(self.counts, self._answerer.entries, time.time())

    def run(self, stop: threading.Event, notifier: Notifier | None = None) -> None:
        """Serve until the event is set, blocking, in a loop of this thread's own."""
        self.bind()
        asyncio.run(self.run_until_stopped(stop, notifier))

    async def run_until_stopped(
        self, stop: threading.Event | asyncio.Event, notifier: Notifier | None = None
    ) -> None:
        """Serve until the event is set; then the sockets are closed and their files removed."""
        self.bind()
        with self._closing:
            notifier = notifier or Notifier({})
            desk = Desk(self._answerer.respond, _affordable(self.limits), self.counts)
            self._refresher.start()
            scraped: list[asyncio.Server] = []
            try:
                await self._await_models(stop)
                for bound in self._bound:
                    desk.listen(bound.socket)
                if self._exported is not None:
                    await asyncio.to_thread(self._exported.export.start)
                scraped += [
                    await server.start()
                    for server in (self.metrics, self.export)
                    if server is not None
                ]
                where = ", ".join(map(str, self.paths))
                _log.info("answering at %s", where)
                notifier.ready(f"answering at {where}")
                while not stop.is_set():
                    await asyncio.sleep(_TICK_SECONDS)
                    desk.sweep()
                    notifier.alive()
            finally:
                notifier.stopping()
                # Before nobody listens any more: who finds the path then may take it over.
                for bound in self._bound:
                    bound.leave()
                desk.close()
                for server in scraped:
                    server.close()
                if self._exported is not None:
                    self._exported.export.stop()
                self._refresher.stop()

    async def _await_models(self, stop: threading.Event | asyncio.Event) -> None:
        """Wait for the first refresh, so that the first clients get real answers."""
        loop = asyncio.get_running_loop()
        enough = loop.time() + self._patience
        while not (self._answerer.entries or self._refresher.first_done.is_set() or stop.is_set()):
            if loop.time() >= enough:
                return
            await asyncio.sleep(0.002)

    def __enter__(self) -> Self:
        """Bind, here; serve, in a thread."""
        self.bind()
        self._thread = threading.Thread(target=self.run, args=(self._stop,), name="estimator")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.close()


def serve(server: EstimatorServer) -> None:
    """Serve in the main thread until SIGTERM or SIGINT; SIGHUP looks for new models.

    Allows itself as many open files as its connections may need, if the system lets it.
    """
    stop = threading.Event()
    settle_allocation()
    server.bind()
    _allow_files(server.limits.most_connections + _SPARE_FILES)
    # What has been imported stays for ever: the collector need not look through it again.
    gc.freeze()
    # While a new model is read in its thread, requests wait for no more than that.
    sys.setswitchinterval(_SWITCH_SECONDS)
    with _handling(
        {
            signal.SIGTERM: stop.set,
            signal.SIGINT: stop.set,
            signal.SIGHUP: server.refresh_now,
        }
    ):
        server.run(stop, Notifier(os.environ))


def _allow_files(wanted: int) -> None:
    """Raise this process's soft limit of open files to so many, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _affordable(limits: Limits) -> Limits:
    """The limits with no more connections than there may be open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits
    most = max(1, min(limits.most_connections, soft - _SPARE_FILES))
    return replace(limits, most_connections=most)


@contextmanager
def _handling(actions: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Handle signals by these actions, then again as before."""

    def handler(number: int, _frame: object) -> None:
        actions[signal.Signals(number)]()

    before = {number: signal.signal(number, handler) for number in actions}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
