"""Who may change what is served: whoever has the token, and no other web site's page."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from server.web.token import BearerToken

_OWN: Final = ("same-origin", "none")
"""What a browser says of a request by our own page, or by its user."""


class Writers:
    """Checks requests that change something.

    A browser sends what any page that it shows tells it to, and so it says which page that was
    (``Sec-Fetch-Site``, ``Origin``). Programs say neither: they are judged by their token alone.
    """

    def __init__(self, token: BearerToken | None = None) -> None:
        self._token = token or BearerToken()

    def check(self, request: HTTPConnection) -> None:
        """An answer 401 or 403 unless the request may change something."""
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site")
        if origin is not None or site is not None:
            self._check_page(request.headers.get("host", ""), origin, site)
        self._token.check(request)

    def _check_page(self, host: str, origin: str | None, site: str | None) -> None:
        if site is not None and site not in _OWN:
            raise HTTPException(403, f"sec-fetch-site is {site[:80]!r}: another site asks for this")
        if origin is not None and _place(origin) != host.lower():
            raise HTTPException(403, f"origin is {origin[:80]!r}: another site asks for this")
        # A name that resolves to us may be a foreign site's own (DNS rebinding): then its pages
        # are of our origin. They do not have the token.
        if not self._token.is_needed and not is_plain(host):
            raise HTTPException(
                403,
                f"host is {host[:80]!r}: browsers may change models by a name with a token only",
            )


def is_plain(host: str) -> bool:
    """Whether a Host header is an address or localhost, which nobody else can name.

    >>> [is_plain(host) for host in ("127.0.0.1:8100", "[::1]:8100", "localhost", "a.example:80")]
    [True, True, True, False]
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost":
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _place(origin: str) -> str:
    """Host and port of an origin; empty for ``null``, which a page without an origin sends."""
    return origin.partition("://")[2].lower()
