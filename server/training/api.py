"""``POST /train``, and the jobs that it makes."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.errors import NotFoundError, WattstreamError
from server.models.models_api import ARCHIVE, JSON, download
from server.training.explain import one_line
from server.training.jobs import BusyError, Job, Jobs, State
from server.training.mapped import mapped
from server.training.process import Outcome
from server.training.request import TrainRequest, decode_request
from server.training.run import Report
from server.training.upload import SILENT_SECONDS, receive_body
from server.web.errors import error_response
from server.web.writing import Writers

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.002
_LOOK_LATER_SECONDS: Final = 0.1
"""How often it is looked whether a run is over: at first often, later less."""
_WAIT: Final = re.compile(r"wait\s*=\s*(\d{1,6})")

Check = Callable[[TrainRequest], object]
"""Raises ``WattstreamError`` for a request that no run could fulfil."""


class ShownJob(msgspec.Struct, frozen=True):
    """A job as ``GET /jobs/{id}`` shows it. Times are Unix seconds, null before they come.

    ``progress`` goes from 0 to 1. ``result`` is where the zip is, once ``state`` is done, and
    ``report`` what is in it; ``error`` says why, where it is failed.
    """

    id: str
    name: str
    state: State
    progress: float
    created: float
    started: float | None
    ended: float | None
    result: str | None
    error: str | None
    report: Report | None


class TrainingApi:
    """Trains for whoever has the token; a request waits for its models unless it rather would not.

    ``limit`` is the number of bytes that a body may have, ``stopping`` ends all waiting.
    """

    def __init__(
        self,
        jobs: Jobs,
        check: Check,
        writers: Writers,
        limit: int,
        stopping: Event,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._jobs, self._check, self._writers = jobs, check, writers
        self._limit, self._stopping = limit, stopping
        self._silent_seconds = silent_seconds

    def routes(self) -> list[BaseRoute]:
        """Where these answers are found."""
        return [
            Route("/train", self.train, methods=["POST"]),
            Route("/jobs/{id}", self.job, methods=["GET", "DELETE"]),
            Route("/jobs/{id}/result", self.result),
        ]

    async def train(self, request: Request) -> Response:
        """The zip; or 202 and where to ask for it, if the client prefers not to wait."""
        self._writers.check(request)
        try:
            job = await run_in_threadpool(self._jobs.open)
        except BusyError as error:
            headers = {"retry-after": str(error.seconds), "connection": "close"}
            return error_response(503, str(error), headers)
        try:
            return await self._train(request, job)
        except BaseException as error:
            # Nobody will ask for it; and not awaited, for this may be the end of the task.
            self._jobs.drop(job)
            if isinstance(error, ClientDisconnect):
                return Response(status_code=400)  # to nobody
            if isinstance(error, OSError):
                _log.error("%s: %s", job.folder, error.strerror or error)
                return error_response(503, "the request cannot be kept; the server's log says why")
            raise

    async def _train(self, request: Request, job: Job) -> Response:
        await receive_body(request, job.request, self._limit, self._silent_seconds)
        try:
            name = await run_in_threadpool(_checked, job.request, self._check)
        except WattstreamError as error:
            await run_in_threadpool(self._jobs.drop, job)
            return error_response(400, one_line(str(error)))
        self._jobs.submit(job, name)
        if await self._wait(request, job):
            outcome = job.outcome or Outcome(None, 503, "the server has stopped")
            answer = await _result(job, outcome)
            await run_in_threadpool(self._jobs.drop, job)
            return answer
        headers = {"location": f"/jobs/{job.id}", "preference-applied": "respond-async"}
        return _json(_shown(job), 202, headers)

    async def _wait(self, request: Request, job: Job) -> bool:
        """Wait as long as the client would; whether the job is over. If it hangs up, so do we."""
        prefer = ",".join(request.headers.getlist("prefer")).lower()
        end, look = None, _LOOK_SECONDS
        if "respond-async" in prefer:
            wait = _WAIT.search(prefer)
            end = time.monotonic() + (int(wait[1]) if wait else 0)
        while not job.over.is_set() and not self._stopping.is_set():
            if end is not None and time.monotonic() >= end:
                return False
            if await request.is_disconnected():
                raise ClientDisconnect
            await asyncio.sleep(look)
            look = min(2 * look, _LOOK_LATER_SECONDS)
        return True

    async def job(self, request: Request) -> Response:
        """How the job does; or, with DELETE, stop and forget it."""
        job = self._job(request)
        if request.method == "DELETE":
            await run_in_threadpool(self._jobs.drop, job)
            return Response(status_code=204)
        return _json(_shown(job))

    async def result(self, request: Request) -> Response:
        """The zip; 409 while there is none yet, and if there will be none the reason why."""
        job = self._job(request)
        if job.outcome is None:
            return error_response(
                409, f"job {job.id} is {job.state}: there is no result yet", {"retry-after": "1"}
            )
        return await _result(job, job.outcome)

    def _job(self, request: Request) -> Job:
        self._writers.check(request)
        number = request.path_params["id"]
        job = self._jobs.get(number)
        if job is None:
            raise NotFoundError(f"job is {number[:80]!r}: there is none, or no longer")
        return job


def _checked(path: Path, check: Check) -> str:
    """The name that the request in the file gives; ``WattstreamError`` for a wrong one."""
    request = decode_request(mapped(path))
    check(request)
    return request.name


async def _result(job: Job, outcome: Outcome) -> Response:
    if outcome.report is None:
        return error_response(outcome.status, outcome.error)
    body = await run_in_threadpool(job.result.read_bytes)
    return Response(body, headers=download(f"{job.name}.zip"), media_type=ARCHIVE)


def _shown(job: Job) -> ShownJob:
    outcome = job.outcome
    return ShownJob(
        id=job.id,
        name=job.name,
        state=job.state,
        progress=round(job.done, 3),
        created=job.created,
        started=job.started or None,
        ended=job.ended or None,
        result=f"/jobs/{job.id}/result" if job.state == "done" else None,
        error=(outcome.error or None) if outcome is not None else None,
        report=outcome.report if outcome is not None else None,
    )


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, JSON)
