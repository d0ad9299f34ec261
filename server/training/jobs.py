"""The runs that wait, the one under way, and those that are over: bounded in number and time."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Final, Literal, Self

from estimator.errors import WattstreamError
from server.training.child import REQUEST, RESULT
from server.training.process import Outcome, Runner

_log = logging.getLogger(__name__)

MOST_KEPT: Final = 20
"""So many that are over are kept at the most, the latest."""
_SOONEST_SECONDS: Final = 1
_LATEST_SECONDS: Final = 600
_GUESS_SECONDS: Final = 30.0
_SWEEP_SECONDS: Final = 1.0

State = Literal["receiving", "queued", "running", "done", "failed"]


class BusyError(WattstreamError):
    """As many runs wait as may; ``seconds`` is when there may be room again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Job:
    """One run. Its fields are written by `Jobs` alone; whoever reads them may be a moment late."""

    def __init__(self, number: str, folder: Path, now: float) -> None:
        self.id, self.folder = number, folder
        self.name = ""
        self.state: State = "receiving"
        self.created, self.started, self.ended = now, 0.0, 0.0
        self.done = 0.0
        """How much of it is done, from 0 to 1."""
        self.outcome: Outcome | None = None
        self.over = Event()
        self.stop = Event()

    @property
    def request(self) -> Path:
        """The file that its request is in."""
        return self.folder / REQUEST

    @property
    def result(self) -> Path:
        """The file that its models are in, once it is done."""
        return self.folder / RESULT


class Jobs:
    """Runs jobs one after the other in a thread; safe to share between threads.

    At most ``waiting`` wait, those whose request is still being received among them. What is over
    is forgotten after ``keep_seconds``. As a context manager it empties its folder at both ends:
    the folder must be its own.
    """

    def __init__(
        self,
        folder: Path,
        run: Runner,
        *,
        waiting: int,
        keep_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._run = folder, run
        self._waiting, self._keep_seconds, self._clock = waiting, keep_seconds, clock
        self._jobs: dict[str, Job] = {}
        self._queue: list[Job] = []
        self._changed = Condition()
        self._stopping = False
        self._thread = Thread(target=self._work, name="training", daemon=True)
        self.counts = {"done": 0, "failed": 0, "refused": 0}

    def open(self) -> Job:
        """A new job, whose request is to be written into its file; ``BusyError`` if too many are.

        It is to be submitted or dropped.
        """
        with self._changed:
            self._sweep()
            pending = [job for job in self._jobs.values() if job.state in ("receiving", "queued")]
            if len(pending) >= self._waiting or self._stopping:
                self.counts["refused"] += 1
                raise BusyError(
                    f"{len(pending)} runs wait already: try again later", self._seconds_to_wait()
                )
            number = secrets.token_hex(16)
            job = Job(number, self._folder / number, self._clock())
            job.folder.mkdir(parents=True)
            self._jobs[number] = job
            return job

    def submit(self, job: Job, name: str) -> None:
        """Queue a job whose request is complete."""
        with self._changed:
            job.name, job.state = name, "queued"
            self._queue.append(job)
            self._changed.notify()

    def get(self, number: str) -> Job | None:
        """The job of that number, if it is still kept."""
        with self._changed:
            self._sweep()
            return self._jobs.get(number)

    def drop(self, job: Job) -> None:
        """Forget the job and what it made; stop it if it is under way."""
        job.stop.set()
        with self._changed:
            self._jobs.pop(job.id, None)
            if job in self._queue:
                self._queue.remove(job)
            under_way = job.state == "running"
        if not under_way:  # else the thread that runs it removes its files
            shutil.rmtree(job.folder, ignore_errors=True)

    def states(self) -> dict[State, int]:
        """How many jobs there are of each state."""
        with self._changed:
            found: dict[State, int] = dict.fromkeys(_STATES, 0)
            for job in self._jobs.values():
                found[job.state] += 1
            return found

    def __enter__(self) -> Self:
        self._empty()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopping = True
            for job in self._jobs.values():
                job.stop.set()
            self._changed.notify()
        self._thread.join()
        self._empty()

    def _empty(self) -> None:
        for left in self._folder.glob("*") if self._folder.is_dir() else ():
            shutil.rmtree(left, ignore_errors=True)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            outcome = self._outcome(job)
            job.request.unlink(missing_ok=True)
            with self._changed:
                self._end(job, outcome)
                dropped = job.id not in self._jobs
            if dropped:
                shutil.rmtree(job.folder, ignore_errors=True)

    def _next(self) -> Job | None:
        """The job whose turn it is, as soon as there is one; None at the end."""
        with self._changed:
            while not self._stopping:
                self._sweep()
                if self._queue:
                    job = self._queue.pop(0)
                    job.state, job.started = "running", self._clock()
                    return job
                self._changed.wait(_SWEEP_SECONDS)
            for job in self._queue:
                self._end(job, Outcome(None, 503, "the server has stopped"))
            return None

    def _outcome(self, job: Job) -> Outcome:
        def progress(done: float) -> None:
            job.done = done

        try:
            return self._run(job.folder, progress, job.stop)
        except Exception:  # noqa: BLE001 - a border: one run must not end the others
            _log.exception("training run %s has failed", job.id)
            return Outcome(None, 500, "the run has failed; the server's log says how")

    def _end(self, job: Job, outcome: Outcome) -> None:
        job.outcome, job.ended = outcome, self._clock()
        job.state = "done" if outcome.report is not None else "failed"
        job.done = 1.0 if outcome.report is not None else job.done
        self.counts["done" if outcome.report is not None else "failed"] += 1
        job.over.set()

    def _sweep(self) -> None:
        """Forget what has been over for long, and the oldest of what is over if that is much."""
        now = self._clock()
        over = sorted((job.ended, job.id) for job in self._jobs.values() if job.over.is_set())
        beyond = max(0, len(over) - MOST_KEPT)
        for place, (ended, number) in enumerate(over):
            if place < beyond or now - ended >= self._keep_seconds:
                shutil.rmtree(self._jobs.pop(number).folder, ignore_errors=True)

    def _seconds_to_wait(self) -> int:
        """When the job under way may be over, by how much of it is done."""
        for job in self._jobs.values():
            if job.state == "running" and job.done > 0:
                taken = self._clock() - job.started
                seconds = taken * (1 - job.done) / job.done
                return int(min(max(seconds, _SOONEST_SECONDS), _LATEST_SECONDS))
        return int(_GUESS_SECONDS)


_STATES: Final[tuple[State, ...]] = ("receiving", "queued", "running", "done", "failed")
