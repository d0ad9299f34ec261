"""A Prometheus that is none: series in memory, and limits such as hosted ones have."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Points = list[tuple[float, str]]


class LimitedPrometheus:
    """Answers the three paths that are asked, as Prometheus 2 does: windows closed at both ends.

    A query of more than ``most_points`` of a series is refused. ``requests`` are the paths asked.
    """

    def __init__(
        self,
        series: Mapping[str, list[tuple[dict[str, str], Points]]],
        most_points: float = float("inf"),
        refuse: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None,
    ) -> None:
        self.series, self.most_points, self.refuse = series, most_points, refuse
        self.requests: list[str] = []

    def client(self) -> httpx.Client:
        """A client that reaches it and nothing else."""
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Answer at an address, too: its URL."""
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answer(httpx.Request("GET", f"http://prom{self.path}"))
                self.send_response(found.status_code)
                self.end_headers()
                self.wfile.write(found.content)

            def log_message(self, *_: object) -> None:
                """Say nothing of requests."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_address[1]}"
            server.shutdown()
            thread.join()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        refused = self.refuse(request)
        if refused is not None:
            return refused
        asked = request.url.params
        if request.url.path.endswith("/values"):
            pattern = json.loads(asked["match[]"].partition("=~")[2][:-1])
            names = [name for name in self.series if re.fullmatch(pattern, name)]
            if "start" in asked:
                names = [name for name in names if self._has(name, asked["start"], asked["end"])]
            return httpx.Response(200, json={"status": "success", "data": names})
        if request.url.path.endswith("/query"):
            found = re.fullmatch(r'\{__name__="(.+)"\}\[(\d+)ms\]', asked["query"])
            assert found is not None
            until = float(asked["time"])
            result = self._between(found[1], until - int(found[2]) / 1000, until)
        else:
            name = re.fullmatch(r'\{__name__="(.+)"\}', asked["query"])
            assert name is not None
            start, end, step = (float(asked[key]) for key in ("start", "end", "step"))
            result = self._stepped(name[1], start, end, step)
        if any(len(each["values"]) > self.most_points for each in result):
            said = {"status": "error", "errorType": "bad_data", "error": "too many points"}
            return httpx.Response(400, json=said)
        data = {"resultType": "matrix", "result": result}
        return httpx.Response(200, json={"status": "success", "data": data})

    def _has(self, name: str, start: str, end: str) -> bool:
        return any(
            float(start) <= at <= float(end) for _, points in self.series[name] for at, _ in points
        )

    def _between(self, name: str, start: float, end: float) -> list[dict[str, Any]]:
        # Prometheus counts in milliseconds.
        kept: list[tuple[dict[str, str], Points]] = [
            (labels, [point for point in points if round(start, 3) <= point[0] <= round(end, 3)])
            for labels, points in self.series[name]
        ]
        return [
            {"metric": {"__name__": name, **labels}, "values": inside}
            for labels, inside in kept
            if inside
        ]

    def _stepped(self, name: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for labels, points in self.series[name]:
            values = []
            at, number = start, 0
            while at <= end + 1e-9:
                before = [value for when, value in points if at - 300 <= when <= at + 1e-9]
                if before:
                    values.append((round(at, 3), before[-1]))
                number += 1
                at = start + number * step
            if values:
                found.append({"metric": {"__name__": name, **labels}, "values": values})
        return found
