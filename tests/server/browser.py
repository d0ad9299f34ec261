"""A headless Chromium, driven over a pipe: the few commands of its protocol that tests need."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

CHROMIUM: Final = shutil.which("chromium")
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
_COMMAND_SECONDS: Final = 20.0

# The browser reads commands from descriptor 3 and writes results to 4, whatever these are here.
_HAND_OVER: Final = """
import fcntl, os, sys
commands, results = (fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 10) for fd in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(results, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Tab:
    """One page. Keeps what it logged and the addresses that it asked for."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requested: list[str] = []

    def open(self, url: str, width: int, height: int, scheme: str = "light") -> None:
        """Show the page at this address in a window of this size, light or dark."""
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        attached = self.do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.do("Emulation.setEmulatedMedia", features=[feature])
        self.do("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """What the expression is worth in the page."""
        result = self.do(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_until(self, script: str, seconds: float = 20.0) -> None:
        """Wait until the expression is true in the page."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < deadline, f"never became true: {script}"
            select.select([], [], [], 0.05)

    def press(self, key: str) -> None:
        """Press and release a key where the focus is."""
        text = "\r" if key == "Enter" else ""
        code = {"Enter": 13, "Escape": 27, "Tab": 9}[key]
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.do("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self.do("Input.dispatchKeyEvent", type="keyUp", **named)

    def screenshot(self, path: Path) -> None:
        """Write what the page looks like as PNG."""
        shot = self.do("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(shot["data"]))

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its result; events on the way are taken note of."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], _COMMAND_SECONDS)
            assert ready, "the browser does not answer"
            chunk = os.read(self._from, 1 << 16)
            assert chunk, "the browser has gone"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(params["entry"]))
            case "Network.requestWillBeSent":
                self.requested.append(params["request"]["url"])


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """A browser with a new profile in an empty folder, and its one tab."""
    assert CHROMIUM is not None
    commands, to_browser = os.pipe()
    from_browser, results = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", _HAND_OVER, str(commands), str(results)),
            *(CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"),
        ],
        pass_fds=(commands, results),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(results)
    tab = Tab(to_browser, from_browser)
    try:
        yield tab
    finally:
        os.close(to_browser)
        os.close(from_browser)
        process.kill()
        process.wait()
