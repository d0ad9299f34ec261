"""Runs commands in this process, and leaves it as it was found."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from server.main import run

QUIET = ("httpx", "httpcore", "uvicorn.access")


class Outcome(NamedTuple):
    """How a command ended: its exit status, and what it said."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error, which must stand alone and name the program."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("wattstream: ")
        assert self.out == ""
        return lines[0].removeprefix("wattstream: ")


Run = Callable[..., Outcome]


def runner(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """A function that runs a command line in that folder and says how it ended.

    None of our settings is in the environment, and lines are as wide as they need.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    for name in list(os.environ):
        if name.startswith("WATTSTREAM_"):
            monkeypatch.delenv(name)

    def ran(*words: object) -> Outcome:
        capsys.readouterr()
        with _restored():
            status = run([str(word) for word in words])
        return Outcome(status, *capsys.readouterr())

    return ran


@contextmanager
def _restored() -> Iterator[None]:
    """Commands set up logging and the garbage collector for a process of their own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    thresholds = gc.get_threshold()
    root.handlers.clear()  # else they would be closed
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
