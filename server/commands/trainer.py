"""The offline trainer: models of what Prometheus recorded, by HTTP."""

from __future__ import annotations

import logging

from estimator.settings import HTTP_SETTINGS, Settings
from server.commands.running import stopped_by_signals, wait

_log = logging.getLogger(__name__)

SETTINGS = (
    *("data", "experts", "train_listen", "train_body_mib", "train_memory_mib"),
    *("train_seconds", "train_queue", "train_keep", *HTTP_SETTINGS),
)


def run(settings: Settings) -> int:
    """Train models from recorded Prometheus answers that are posted to /train."""
    from server import assembly
    from server.training.app import make_trainer
    from server.web.http_server import HttpServer
    from server.web.tls import Certificate

    certificate = Certificate.of(settings)
    with (
        stopped_by_signals() as stop,
        assembly.only_trainer(settings) as folder,
        HttpServer(make_trainer(settings, folder), *settings.train_address, certificate) as server,
    ):
        _log.info("training at %s/train", server.url)
        wait(stop)
    return 0
