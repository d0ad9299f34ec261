"""The learner alone, of whatever comes by the log."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Annotated

import typer

from estimator.errors import WattstreamError
from estimator.settings import ISOLATION_SETTINGS, KAFKA_SETTINGS, Settings
from server.commands.running import INTERRUPTED, learn_once, learning, stopped_by_signals, wait

_log = logging.getLogger(__name__)

SETTINGS = (
    "data",
    "log",
    "store",
    "partitions",
    "retention_hours",
    "retention_mib",
    "lateness",
    "commit_interval",
    "experts",
    "initial_pipeline_url",
    *ISOLATION_SETTINGS,
    "learner",
    "session_timeout",
    "version_margin",
    "metrics_port",
    *KAFKA_SETTINGS,
)


def run(
    settings: Settings,
    once: Annotated[
        bool, typer.Option("--once", help="Learn what is in the log now, commit, and leave")
    ] = False,
) -> int:
    """Learn from the log, checkpoint, and publish models to the store."""
    from estimator.published.importing import import_at_start
    from estimator.storage.model_store import ModelStore
    from server import assembly
    from server.monitoring.side_app import shown
    from server.monitoring.watching import Watcher
    from stream.learning.worker import relax_garbage_collection

    relax_garbage_collection()
    with ExitStack() as parts:
        stop = parts.enter_context(stopped_by_signals())
        parts.enter_context(assembly.only_learner(settings))
        log = parts.enter_context(assembly.log_of(settings))
        watcher = Watcher(log)
        parts.enter_context(shown(settings, watcher))
        if not assembly.wait_for_topics(settings, log, stop, watcher.wait_for):
            return 0
        membership = parts.enter_context(assembly.joined(settings, log))
        store = assembly.store_of(settings)
        import_at_start(ModelStore(store), settings.initial_pipeline_url)
        worker = watcher.worker = assembly.make_worker(settings, log, store, stop, membership)
        if once:
            if not learn_once(worker, stop):
                return INTERRUPTED
        else:
            with learning(worker, watcher, stop):
                _log.info("learning from %s", settings.log_url)
                wait(stop)
        learned = watcher.status().learner
    if watcher.failure:
        raise WattstreamError(f"the learner has stopped: {watcher.failure}")
    if learned is not None:
        _log.info("%d records, %d samples", learned.records, learned.samples)
    return 0
