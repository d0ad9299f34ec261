"""The learner alone, of whatever comes by the log."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from estimator.errors import WattstreamError
from estimator.settings import KAFKA_SETTINGS, Settings
from server.commands.running import learning, stopped_by_signals, wait

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
    *KAFKA_SETTINGS,
)


def run(
    settings: Settings,
    once: Annotated[
        bool, typer.Option("--once", help="Learn what is in the log now, commit, and leave")
    ] = False,
) -> int:
    """Learn from the log, checkpoint, and publish models to the store."""
    from server import assembly
    from server.watching import Watcher
    from stream.worker import relax_garbage_collection

    relax_garbage_collection()
    with (
        stopped_by_signals() as stop,
        assembly.only_learner(settings),
        assembly.open_topics(settings) as log,
    ):
        worker = assembly.make_worker(settings, log, assembly.store_of(settings), stop)
        watcher = Watcher(log, worker, None)
        if once:
            worker.run_to_end()
            if not worker.commit():
                raise WattstreamError(f"store {settings.store_url}: the checkpoint was not written")
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
