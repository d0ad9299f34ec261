"""Tells systemd how the service is, by the protocol of ``sd_notify(3)``."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)


class Notifier:
    """Sends what there is to say to the socket that systemd named; without one, nothing."""

    def __init__(
        self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        # An at sign stands for the zero byte of an abstract address.
        self._address = environment.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._clock = clock
        self._every = _watchdog_seconds(environment) / 2
        self._last = clock()

    def ready(self, status: str) -> None:
        """The service answers from now on."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The service is not hanging; sent as often as the watchdog wants to hear it."""
        if self._every and self._clock() - self._last >= self._every:
            self._last = self._clock()
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)
                notify.sendto(message.encode(), self._address)
        except OSError as error:
            _log.debug("NOTIFY_SOCKET %s: %s", self._address, error)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() else 0.0
