from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from server.training.jobs import MOST_KEPT, BusyError, Job, Jobs
from server.training.process import Outcome
from tests.server.commands.processes import eventually
from tests.server.error_shape import assert_error
from tests.server.training.answers import body
from tests.server.training.conftest import Held, Train, Trainer, run_here
from tests.stream.builders import ManualClock

ASYNC = {"prefer": "respond-async"}


def shown(client: Trainer, place: str, *states: str) -> dict[str, Any]:
    """The job, as soon as it is in one of these states."""
    eventually(lambda: client.get(place).json().get("state") in states)
    found: dict[str, Any] = client.get(place).json()
    return found


def test_who_prefers_not_to_wait_gets_a_job(trainer: Train) -> None:
    held = Held()
    client = trainer(held)
    response = client.train(body(), headers=ASYNC)
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "respond-async"
    place = response.headers["location"]
    assert place == f"/jobs/{response.json()['id']}"
    assert held.began.wait(30)
    now = shown(client, place, "running")
    assert (now["name"], now["progress"], now["result"]) == ("made-up", 0.25, None)
    assert now["created"] <= now["started"]
    assert_error(client.get(f"{place}/result"), 409, "running")
    held.go.set()
    done = shown(client, place, "done")
    assert (done["progress"], done["error"]) == (1.0, None)
    assert done["report"]["samples"] == 19
    assert done["started"] <= done["ended"]
    result = client.get(done["result"])
    assert result.headers["content-type"] == "application/zip"
    assert result.content == client.train(body()).content
    assert client.get(done["result"]).content == result.content  # as often as one likes


def test_a_client_may_wait_for_a_while(trainer: Train) -> None:
    client = trainer()
    response = client.train(body(), headers={"prefer": "respond-async, wait=60"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/zip"


def test_a_full_queue_refuses_before_the_body_comes(trainer: Train) -> None:
    held = Held()
    client = trainer(held, waiting=1)
    first = client.train(body(), headers=ASYNC)
    assert held.began.wait(30)
    second = client.train(body(), headers=ASYNC)
    assert (first.status_code, second.status_code) == (202, 202)
    refused = client.train(body(), headers=ASYNC)
    assert_error(refused, 503, "1 runs wait already")
    assert int(refused.headers["retry-after"]) >= 1
    held.go.set()
    for one in (first, second):
        shown(client, one.headers["location"], "done")
    assert client.train(body()).status_code == 200
    assert client.jobs.counts["refused"] == 1


def test_a_job_can_be_given_up(trainer: Train) -> None:
    held = Held()
    client = trainer(held)
    running = client.train(body(), headers=ASYNC).headers["location"]
    assert held.began.wait(30)
    waiting = client.train(body(), headers=ASYNC).headers["location"]
    for place in (waiting, running):
        assert client.delete(place).status_code == 204
        assert_error(client.get(place), 404, place.removeprefix("/jobs/"))
    eventually(lambda: not list(client.folder.iterdir()))


def test_a_run_nobody_waits_for_any_more_ends(trainer: Train) -> None:
    held = Held()
    client = trainer(held)
    content = body()
    address = client.base_url.host, client.base_url.port
    with socket.create_connection(address, timeout=30) as connection:
        head = f"POST /train HTTP/1.1\r\nHost: a\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        assert held.began.wait(30)
    eventually(lambda: not list(client.folder.iterdir()))


def test_the_end_of_the_server_ends_what_runs(tmp_path: Path) -> None:
    held = Held()
    jobs = Jobs(tmp_path / "jobs", held, waiting=4, keep_seconds=60)
    with jobs:
        running, waiting = (_submitted(jobs) for _ in range(2))
        assert held.began.wait(30)
    for job in (running, waiting):
        assert job.outcome is not None
        assert job.outcome.status == 503
    assert not list((tmp_path / "jobs").iterdir())


def _submitted(jobs: Jobs) -> Job:
    job = jobs.open()
    job.request.write_bytes(body())
    jobs.submit(job, "a")
    return job


def test_results_are_forgotten_after_a_while(tmp_path: Path) -> None:
    clock = ManualClock()
    with Jobs(tmp_path, run_here, waiting=1, keep_seconds=60, clock=clock) as jobs:
        job = _submitted(jobs)
        assert job.over.wait(30)
        assert job.result.exists()
        assert not job.request.exists()  # which may be large
        clock.now += 59
        assert jobs.get(job.id) is job
        clock.now += 1
        assert jobs.get(job.id) is None
        assert not list(tmp_path.iterdir())


def test_only_the_latest_results_are_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    with Jobs(tmp_path, _no_models, waiting=1, keep_seconds=60, clock=clock) as jobs:
        made = []
        for _ in range(MOST_KEPT + 2):
            made.append(_submitted(jobs))
            assert made[-1].over.wait(30)
            clock.now += 0.1
        assert [jobs.get(job.id) for job in made] == [None, None, *made[2:]]


def _no_models(*_: object) -> Outcome:
    return Outcome({"models": []})


def test_a_run_that_breaks_does_not_break_the_others(
    trainer: Train, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [True]

    def run(*given: Any) -> Outcome:
        if broken.pop() if broken else False:
            raise ZeroDivisionError
        return run_here(*given)

    client = trainer(run)
    assert_error(client.train(body()), 500, "log")
    assert "ZeroDivisionError" in caplog.text
    assert client.train(body()).status_code == 200


def test_what_was_left_by_another_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "request.json").write_bytes(b"{}")
    with Jobs(tmp_path, run_here, waiting=1, keep_seconds=60):
        assert not list(tmp_path.iterdir())


def test_how_long_to_wait_is_told_by_how_much_is_done(tmp_path: Path) -> None:
    clock = ManualClock()
    held = Held()
    with Jobs(tmp_path, held, waiting=1, keep_seconds=60, clock=clock) as jobs:
        _submitted(jobs)
        assert held.began.wait(30)
        _submitted(jobs)
        clock.now += 10
        with pytest.raises(BusyError) as full:
            jobs.open()
        assert full.value.seconds == 30  # a quarter has taken 10 s
        held.go.set()


def test_several_clients_are_served_one_after_the_other(trainer: Train) -> None:
    client = trainer(waiting=8)
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(client.train(body()))

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [response.status_code for response in answers] == [200] * 4
    assert len({response.content for response in answers}) == 1
