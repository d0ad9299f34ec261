"""Everything on this machine in one process, by the same parts as on a fleet."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Annotated

import typer

from estimator.errors import WattstreamError
from estimator.settings import Settings
from server.commands import collect, estimate, learn, serve
from server.commands.running import learning, stopped_by_signals, wait

_log = logging.getLogger(__name__)

FIRST_SECONDS = 120.0
"""At the very first start a simulated node tells so much of its past at once."""

_PARTS = (collect, learn, serve, estimate)
SETTINGS = tuple(
    name
    for name in dict.fromkeys(name for part in _PARTS for name in part.SETTINGS)
    if name not in estimate.ELSEWHERE
)
"""What its four parts heed, but for models from elsewhere: they are here."""


def run(
    settings: Settings,
    source: Annotated[
        list[str] | None,
        typer.Option(help="What to read; several may be named. Without: what the machine has"),
    ] = None,
) -> int:
    """Start everything here: sources, log, learner, model server and estimator."""
    from estimator.choosing.catalog import Catalog
    from estimator.published.importing import import_at_start
    from estimator.storage.model_store import ModelStore
    from server import assembly
    from server.app import make_app
    from server.monitoring.live import Live
    from server.monitoring.watching import Watcher
    from server.web.http_server import HttpServer
    from server.web.tls import Certificate
    from server.web.token import BearerToken
    from stream.learning.worker import relax_garbage_collection
    from stream.sources.choose import automatic

    relax_garbage_collection()
    with ExitStack() as parts:
        stop = parts.enter_context(stopped_by_signals())
        # Before anything is touched: a wrong word must leave no trace.
        token, certificate = BearerToken.of(settings), Certificate.of(settings)
        past = FIRST_SECONDS if assembly.is_first_start(settings) else 0.0
        named = assembly.sources_of(source, settings, past) if source else None
        parts.enter_context(assembly.only_learner(settings))
        log = parts.enter_context(assembly.log_of(settings))
        store = assembly.store_of(settings)
        models = ModelStore(store)
        # The socket first: Kepler must find it when it starts.
        parts.enter_context(estimate.make_estimator(settings, Catalog(models)))
        live, watcher = Live(), Watcher(log)
        app = make_app(
            Catalog(models), models, watcher, live, token, refresh_seconds=settings.refresh_interval
        )
        server = parts.enter_context(HttpServer(app, *settings.address, certificate))
        _log.info("the page is at %s/, power is answered at %s", server.url, settings.socket[0])
        if not assembly.wait_for_topics(settings, log, stop, watcher.wait_for):
            return 0
        # Before the learner: where a machine is met first, it starts from these.
        import_at_start(models, settings.initial_pipeline_url)
        membership = parts.enter_context(assembly.joined(settings, log))
        worker = assembly.make_worker(settings, log, store, stop, membership, live)
        sources = named or assembly.sources_of(automatic(settings), settings, past)
        collector = assembly.make_collector(settings, sources, log)
        watcher.worker, watcher.collector = worker, collector
        parts.enter_context(learning(worker, watcher, stop))
        parts.enter_context(collector)
        wait(stop)
        _log.info("stopping")
    if watcher.failure:
        raise WattstreamError(f"the learner has stopped: {watcher.failure}")
    return 0
