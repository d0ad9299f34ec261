from __future__ import annotations

import socket
from pathlib import Path

from estimator.system.notify import Notifier


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_what_systemd_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    clock = Clock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "10000000"}, clock)
        notifier.ready("answering")
        assert systemd.recv(100) == b"READY=1\nSTATUS=answering"
        for seconds, told in ((4.9, 0), (5.0, 1), (9.9, 0), (10.0, 1)):
            clock.seconds = seconds
            notifier.alive()
            assert [systemd.recv(100) for _ in range(told)] == [b"WATCHDOG=1"] * told
        notifier.stopping()
        assert systemd.recv(100) == b"STOPPING=1"


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("")  # The system chooses a free abstract address.
        name = systemd.getsockname().decode().replace("\0", "@")
        Notifier({"NOTIFY_SOCKET": name}).stopping()
        assert systemd.recv(100) == b"STOPPING=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "x"}):
        notifier = Notifier(environment)
        notifier.ready("")
        notifier.alive()
        notifier.stopping()
