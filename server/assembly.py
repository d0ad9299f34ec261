"""The one place that puts the parts together, from settings."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from estimator.errors import LogUnavailableError, MisuseError, WattstreamError
from estimator.isolation.choose import make_isolator
from estimator.isolation.isolator import Isolator
from estimator.isolation.profile import StoredProfiles
from estimator.published.priors import imported_priors
from estimator.settings import Settings
from estimator.storage.model_store import ModelStore
from estimator.storage.namespaces import FOLDER
from estimator.storage.store import Store, open_store
from server.monitoring.live import Live
from server.monitoring.watching import LiveObserver
from stream.collecting.collect import Collector
from stream.complaints import Complaints
from stream.learning.checkpoint import Checkpoints
from stream.learning.intake import TOPICS
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.shared_models import SharedModels
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters
from stream.log.kafka_security import security_of
from stream.log.open import open_log
from stream.log.protocol import Log, Membership, TopicSpec
from stream.records import DEAD_TOPIC, GROUP, POWER_TOPIC, USAGE_TOPIC
from stream.replaying.replay import Replay
from stream.replaying.replay_plan import Plan
from stream.sources.protocol import Source

_log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 2.0


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


def log_of(settings: Settings) -> Log:
    """The log, not connected yet and without its topics; the caller closes it."""
    data_folder(settings)
    return open_log(settings.log_url, security_of(settings))


def make_topics(settings: Settings, log: Log) -> None:
    """Make sure that the topics are there, as the settings want them."""
    hours, mib = settings.retention_hours, settings.retention_mib
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


def wait_for_topics(
    settings: Settings, log: Log, stop: threading.Event, tell: Callable[[str], None]
) -> bool:
    """Make sure of the topics as soon as the log is there; False if it was stopped before.

    ``tell`` is told what is waited for, and an empty text when nothing is any more.
    """
    complaints = Complaints(_log, time.monotonic)
    while not stop.is_set():
        try:
            make_topics(settings, log)
        except LogUnavailableError as error:
            complaints.say("waiting for the log", error)
            tell(f"waiting for the log: {error}")
            stop.wait(_RETRY_SECONDS)
        else:
            complaints.over(f"{settings.log_url} is there")
            tell("")
            return True
    return False


def store_of(settings: Settings) -> Store:
    """The store that checkpoints and artifacts lie in."""
    data_folder(settings)
    return open_store(settings.store_url)


def isolator_of(settings: Settings, store: Store | None = None) -> Isolator:
    """What tells power above idle from the whole, with the idle profiles that are in the store."""
    hints = {
        name: list(given)
        for name, given in (
            ("bg_hints", settings.bg_hints),
            ("target_hints", settings.target_hints),
        )
        if given
    }
    return make_isolator(settings.isolator, hints, None if store is None else StoredProfiles(store))


@contextmanager
def only_learner(settings: Settings) -> Iterator[None]:
    """Hold the data folder's learner lock: two learners would overwrite each other's checkpoints.

    The system gives the lock back when the process ends, however it ends.
    """
    path = data_folder(settings) / "learner.lock"
    what = f"data folder {settings.data} has a learner already"
    with _only_holder(path, what, "choose another with --data"):
        yield


@contextmanager
def only_replay(settings: Settings, namespace: str) -> Iterator[None]:
    """Hold the namespace's lock: two replays would overwrite each other's checkpoints.

    Live learners have another one: a replay does not disturb them.
    """
    folder = data_folder(settings) / FOLDER
    folder.mkdir(exist_ok=True)
    what = f"namespace {namespace!r} is being replayed into already"
    with _only_holder(folder / f"{namespace}.lock", what, "choose another with --into"):
        yield


@contextmanager
def only_trainer(settings: Settings) -> Iterator[Path]:
    """The folder of the trainer's runs, held: what another has left there is deleted."""
    folder = data_folder(settings) / "training"
    what = f"data folder {settings.data} has a trainer already"
    with _only_holder(folder.with_suffix(".lock"), what, "choose another with --data"):
        yield folder


@contextmanager
def _only_holder(path: Path, complaint: str, advice: str) -> Iterator[None]:
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise WattstreamError(f"{complaint} (process {holder}); {advice}") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def learner_name(settings: Settings) -> str:
    """The name under which this learner's group knows it, the same after every restart.

    Without a setting it is made once for the data folder, of the host's name and something random.
    """
    if settings.learner:
        return settings.learner
    path = data_folder(settings) / "learner.name"
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:200] or "host"
    try:
        name = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        name = ""
    # A folder that was copied to another machine must not shut this one out.
    if not name.startswith(f"{host}-"):
        name = f"{host}-{secrets.token_hex(4)}"
        path.write_text(name + "\n", encoding="utf-8")
    return name


@contextmanager
def joined(settings: Settings, log: Log) -> Iterator[Membership]:
    """A place in the learners' group, whose members share the partitions."""
    membership = log.join(GROUP, TOPICS, learner_name(settings), settings.session_timeout)
    try:
        yield membership
    finally:
        membership.close()


def make_worker(
    settings: Settings,
    log: Log,
    store: Store,
    stop: threading.Event,
    membership: Membership,
    live: Live | None = None,
) -> Worker:
    """A learner of the partitions that it is given, going on from the checkpoints in the store."""
    # Read once: what a machine that is met later starts from must not depend on when that is.
    experts = pool(
        settings.experts,
        isolator=isolator_of(settings, store),
        priors=imported_priors(ModelStore(store)),
    )
    return Worker(
        Parts(
            log=log,
            pool=experts,
            checkpoints=Checkpoints(store, GROUP, learner_name(settings)),
            publisher=Publisher(ModelStore(store), settings.version_margin),
            dead_letter=DeadLetters(log).send,
            lateness_seconds=settings.lateness,
            commit_seconds=settings.commit_interval,
            observer=LiveObserver(live) if live is not None else None,
            stop=stop,
            membership=membership,
            shared=SharedModels(store, GROUP, experts),
        )
    )


def make_replay(
    settings: Settings, plan: Plan, log: Log, part: Store, stop: threading.Event
) -> Replay:
    """The replay of that plan into a namespace's part of the store.

    Machines that it meets start from the models that are imported now, as live ones do.
    """
    live = store_of(settings)
    return Replay(
        plan,
        log,
        part,
        pool(
            plan.experts,
            isolator=isolator_of(settings, live),
            priors=imported_priors(ModelStore(live)),
        ),
        commit_seconds=settings.commit_interval,
        stop=stop,
    )


def make_collector(settings: Settings, sources: Sequence[Source], log: Log) -> Collector:
    """A collector of these sources, not started yet."""
    return Collector(
        sources,
        log,
        buffer_records=settings.buffer_records,
        name=f"{socket.gethostname()}/{os.getpid()}",
    )


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
