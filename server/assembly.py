"""The one place that puts the parts together, from settings."""

from __future__ import annotations

import fcntl
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from estimator.errors import MisuseError, WattstreamError
from estimator.model_store import ModelStore
from estimator.settings import Settings
from estimator.store import Store, open_store
from server.live import Live
from server.watching import LiveObserver
from stream.checkpoint import Checkpoints
from stream.dead_letters import DeadLetters
from stream.log.kafka_security import security_of
from stream.log.open import open_log
from stream.log.protocol import Log, TopicSpec
from stream.pools import pool
from stream.publisher import Publisher
from stream.records import DEAD_TOPIC, GROUP, POWER_TOPIC, USAGE_TOPIC
from stream.sources.protocol import Source
from stream.worker import Parts, Worker


def data_folder(settings: Settings) -> Path:
    """The data folder, made if it is not there; ``WattstreamError`` if it cannot be written."""
    folder = Path(settings.data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WattstreamError(f"data folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WattstreamError(f"data folder {folder} is not writable")
    return folder


def open_topics(settings: Settings) -> Log:
    """The log, with the topics made; the caller closes it."""
    data_folder(settings)
    hours, mib = settings.retention_hours, settings.retention_mib
    log = open_log(settings.log_url, security_of(settings))
    try:
        log.create_topics(
            [
                TopicSpec(
                    name,
                    settings.partitions if name != DEAD_TOPIC else 1,
                    # Infinite: all is kept.
                    retention_seconds=hours * 3600 if math.isfinite(hours) else None,
                    retention_bytes=int(mib * 2**20) if math.isfinite(mib) else None,
                )
                for name in (USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC)
            ]
        )
    except BaseException:
        log.close()
        raise
    return log


def store_of(settings: Settings) -> Store:
    """The store that checkpoints and artifacts lie in."""
    data_folder(settings)
    return open_store(settings.store_url)


@contextmanager
def only_learner(settings: Settings) -> Iterator[None]:
    """Hold the data folder's learner lock: two learners would overwrite each other's checkpoints.

    The system gives the lock back when the process ends, however it ends.
    """
    path = data_folder(settings) / "learner.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise WattstreamError(
                f"data folder {settings.data} has a learner already (process {holder}); "
                f"choose another with --data"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def make_worker(
    settings: Settings, log: Log, store: Store, stop: threading.Event, live: Live | None = None
) -> Worker:
    """A learner of all partitions, going on from the checkpoints in the store."""
    experts = settings.experts
    parts = Parts(
        log=log,
        pool=pool(experts),
        checkpoints=Checkpoints(store, GROUP),
        publisher=Publisher(ModelStore(store)),
        dead_letter=DeadLetters(log).send,
        lateness_seconds=settings.lateness,
        commit_seconds=settings.commit_interval,
        observer=LiveObserver(live) if live is not None else None,
        stop=stop,
    )
    return Worker(parts, range(log.partitions(USAGE_TOPIC)))


def is_first_start(settings: Settings) -> bool:
    """Whether nothing was ever kept in the data folder."""
    folder = Path(settings.data)
    return not folder.is_dir() or not any(folder.iterdir())


def sources_of(words: Sequence[str], settings: Settings, past_seconds: float = 0.0) -> list[Source]:
    """The sources that the words name; ``MisuseError`` if there is none or a word is none."""
    from stream.sources.choose import make_sources

    sources = make_sources(words, settings, past_seconds)
    if not sources:
        raise MisuseError("no source is named")
    return sources
