"""The bearer token without which nothing is written or trained, where one is set."""

from __future__ import annotations

import hmac
import logging
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from estimator.errors import MisuseError
from estimator.settings import Settings

_log = logging.getLogger(__name__)

_CHALLENGE = {"www-authenticate": 'Bearer realm="wattstream"'}


class BearerToken:
    """Checks requests for the token: given, or in a file that is read again for each request.

    Without either, every request passes. ``MisuseError`` if the file is empty or cannot be read.

    >>> BearerToken().is_needed, BearerToken("s3cret").is_needed
    (False, True)
    """

    def __init__(self, token: str = "", file: str = "") -> None:
        self._token, self._file = token.strip().encode(), file
        try:
            given = self._expected()
        except OSError as error:
            raise MisuseError(f"token_file is {file!r}: {error.strerror or error}") from error
        if file and not given:
            raise MisuseError(f"token_file is {file!r}: it is empty")

    @classmethod
    def of(cls, settings: Settings) -> BearerToken:
        """The token that the settings name; ``MisuseError`` if they name two."""
        if settings.token and settings.token_file:
            raise MisuseError("token and token_file are both set: one of them is enough")
        return cls(settings.token, settings.token_file)

    @property
    def is_needed(self) -> bool:
        """Whether a request needs one."""
        return bool(self._token or self._file)

    def check(self, request: HTTPConnection) -> None:
        """An answer 401 unless the request has the token; 503 while its file cannot be read."""
        if not self.is_needed:
            return
        try:
            expected = self._expected()
        except OSError as error:
            _log.error("token_file %s: %s", self._file, error.strerror or error)
            raise HTTPException(503, "the token cannot be read now; the log says why") from error
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        # Headers are latin-1 texts: compared as the bytes that came.
        same = hmac.compare_digest(given.strip().encode("latin-1"), expected)
        if kind.lower() != "bearer" or not expected or not same:
            what = "is not the token" if given else "is missing"
            raise HTTPException(401, f"authorization {what}: Bearer TOKEN is needed", _CHALLENGE)

    def _expected(self) -> bytes:
        return Path(self._file).read_bytes().strip() if self._file else self._token
