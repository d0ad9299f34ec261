"""Commands as processes of their own, the way that people and service managers start them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import httpx

MAIN = ("-c", "from server.main import main; main()")
PATIENCE_SECONDS = 180.0

T = TypeVar("T")


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for sockets: the name of one has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ws-") as folder:
        yield Path(folder)


def environment(**more: str) -> dict[str, str]:
    """The environment without our settings."""
    found = {name: v for name, v in os.environ.items() if not name.startswith("WATTSTREAM_")}
    return {**found, **more}


def eventually(what: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """What the function returns once that is not None or False; asks often."""
    until = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < until, f"not within {seconds:g} s"
        time.sleep(0.05)


class Program:
    """A running program, and what it says on standard error; it is killed at the end."""

    def __init__(
        self, words: Sequence[object], said: Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._said = said.absolute()
        with said.open("wb") as errors:
            self.process = subprocess.Popen(
                list(map(str, words)),
                cwd=cwd,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=env,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait_until(self, ready: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        """Return once it is ready; fail with what it says if it ends before, or takes too long."""
        until = time.monotonic() + seconds
        while not ready():
            assert self.is_running, self.said
            assert time.monotonic() < until, f"not within {seconds:g} s: {self.said}"
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 10.0) -> int:
        """Send the signal; the exit status, which must come within that time."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit status of a program that ends by itself."""
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running:
            self.process.kill()
        self.process.wait(10)


class Command(Program):
    """A command of ours, without our settings in its environment."""

    def __init__(
        self, folder: Path, words: Sequence[object], program: Sequence[str] = MAIN
    ) -> None:
        said = folder / f"{words[0]}-{time.monotonic_ns()}.err"
        super().__init__([sys.executable, *program, *words], said, folder, environment())


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def figures(url: str) -> dict[str, float]:
    """The sums of a page of metrics by name."""
    found: dict[str, float] = {}
    for line in httpx.get(f"{url}/metrics", trust_env=False, timeout=5).text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            found[name] = found.get(name, 0.0) + float(value)
    return found
