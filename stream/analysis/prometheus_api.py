"""Prometheus' HTTP API as far as it is needed to take series out of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import httpx
import msgspec

from estimator.errors import MisuseError, SourceUnavailableError, WattstreamError
from stream.log.closing import Closing
from stream.sources.http import page_url, shown_url

_log = logging.getLogger(__name__)

MOST_BYTES: Final = 256 * 2**20
"""A larger answer is asked for in parts."""
_ATTEMPTS: Final = 5
_REFUSALS: Final = frozenset({"bad_data", "execution", "timeout"})
"""What Prometheus calls it when a query is too much for it, among other things."""
_TOO_LARGE: Final = 413
_LONGEST_COMPLAINT: Final = 300


T = TypeVar("T")


class TooMuchError(SourceUnavailableError):
    """What was asked for may be too much at once: ask for less."""


class Series(msgspec.Struct):
    """One series of an answer: its labels and its points (Unix seconds, the value as text)."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Matrix(msgspec.Struct):
    resultType: str  # noqa: N815 - Prometheus spells it so
    result: list[Series]


class _Answer(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    errorType: str = ""  # noqa: N815
    warnings: list[str] = []


_answer = msgspec.json.Decoder(_Answer)
_names = msgspec.json.Decoder(list[str])
_matrix = msgspec.json.Decoder(_Matrix)


class Prometheus(Closing):
    """A Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics), to be asked.

    Outages are waited for, some seconds in all. ``TooMuchError`` where the server refuses a query
    that might be accepted if it were of less, ``WattstreamError`` for whatever else it says.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout_seconds: float = 120.0,
        client: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = page_url(url, "/").rstrip("/")
        self.shown = shown_url(self._url).rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = client or httpx.Client(trust_env=False)
        self._client.headers.update(headers)
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._warned: set[str] = set()

    def names(
        self, pattern: str, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[str]:
        """The names of all series whose name matches the pattern, about that time; else ever."""
        asked = {"match[]": f'{{__name__=~"{pattern}"}}'}
        if start_ms is not None and end_ms is not None:
            asked |= {"start": _seconds(start_ms), "end": _seconds(end_ms)}
        data = self._get("/api/v1/label/__name__/values", asked)
        found: list[str] = self._decoded(_names, data)
        return sorted(found)

    def scraped(self, name: str, after_ms: int, until_ms: int) -> list[Series]:
        """The points of the name's series as they were scraped, in (after, until].

        Releases before 3 have one at ``after`` as well.
        """
        query = f'{{__name__="{name}"}}[{until_ms - after_ms}ms]'
        data = self._get("/api/v1/query", {"query": query, "time": _seconds(until_ms)})
        return self._series(data)

    def stepped(self, name: str, start_ms: int, end_ms: int, step_seconds: float) -> list[Series]:
        """What the name's series were at each step of [start, end]: the last point before it."""
        asked = {
            "query": f'{{__name__="{name}"}}',
            "start": _seconds(start_ms),
            "end": _seconds(end_ms),
            "step": f"{step_seconds:g}",
        }
        return self._series(self._get("/api/v1/query_range", asked))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _series(self, data: msgspec.Raw) -> list[Series]:
        matrix = self._decoded(_matrix, data)
        if matrix.resultType != "matrix":
            raise WattstreamError(f"{self.shown} answered with a {matrix.resultType}, no matrix")
        return matrix.result

    def _decoded(self, decoder: msgspec.json.Decoder[T], data: msgspec.Raw) -> T:
        try:
            return decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WattstreamError(f"{self.shown} answered what cannot be read: {error}") from error

    def _get(self, path: str, asked: Mapping[str, str]) -> msgspec.Raw:
        """The answer's data; what may pass by itself is tried again, at doubling intervals."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._once(path, asked)
            except TooMuchError:
                raise
            except SourceUnavailableError as error:
                if attempt + 1 == _ATTEMPTS:
                    raise
                _log.warning("%s; asking again in %d s", error, 2**attempt)
                self._sleep(2**attempt)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _once(self, path: str, asked: Mapping[str, str]) -> msgspec.Raw:
        body = bytearray()
        try:
            with self._client.stream(
                "GET", self._url + path, params=dict(asked), timeout=self._timeout_seconds
            ) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise TooMuchError(
                            f"{self.shown} answers with more than {MOST_BYTES} bytes"
                        )
        except httpx.TimeoutException as error:
            raise TooMuchError(
                f"{self.shown} did not answer within {self._timeout_seconds:g} s"
            ) from error
        except httpx.HTTPError as error:
            raise SourceUnavailableError(
                f"{self.shown}: {error or type(error).__name__}"
            ) from error
        return self._read(response, bytes(body))

    def _read(self, response: httpx.Response, body: bytes) -> msgspec.Raw:
        status = response.status_code
        try:
            answer = _answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = None
        if answer is not None and answer.status == "success":
            for warning in answer.warnings:
                if warning not in self._warned:
                    _log.warning("%s warns: %s", self.shown, warning)
                self._warned.add(warning)
            return answer.data
        said = f"{status} {response.reason_phrase}".rstrip()
        if answer is not None and answer.error:
            said = answer.error[:_LONGEST_COMPLAINT]
        complaint = f"{self.shown} refused: {said}"
        if status == _TOO_LARGE or (answer is not None and answer.errorType in _REFUSALS):
            raise TooMuchError(complaint)
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            raise SourceUnavailableError(complaint)
        if status == httpx.codes.OK:
            kind = response.headers.get("Content-Type", "nothing")
            raise MisuseError(f"{self.shown} is no Prometheus: it answered with {kind}")
        raise WattstreamError(complaint)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"
