from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from server.web.token import BearerToken
from server.web.writing import Writers


def _asking(**headers: str) -> HTTPConnection:
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return HTTPConnection({"type": "http", "headers": pairs})


HERE = "127.0.0.1:8100"


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program
        {"host": "models.example:8100"},
        {"host": HERE, "origin": f"http://{HERE}", "sec_fetch_site": "same-origin"},
        {"host": HERE, "origin": f"http://{HERE}"},  # an old browser
        {"host": HERE, "sec_fetch_site": "none"},
        {"host": "localhost:8100", "origin": "http://localhost:8100"},
        {"host": "[::1]:8100", "origin": "http://[::1]:8100"},
    ],
)
def test_programs_and_our_own_page_may_write(headers: dict[str, str]) -> None:
    Writers().check(_asking(**headers))


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"host": HERE, "sec_fetch_site": "cross-site"}, "cross-site"),
        ({"host": HERE, "sec_fetch_site": "same-site"}, "same-site"),
        ({"host": HERE, "origin": "https://evil.example"}, "https://evil.example"),
        ({"host": HERE, "origin": "null"}, "null"),
        ({"host": HERE, "origin": "http://127.0.0.1:9000"}, "9000"),
        ({"host": HERE, "origin": "http://evil.example", "sec_fetch_site": "same-origin"}, "evil"),
        ({"origin": f"http://{HERE}"}, HERE),
        # A name that was made to resolve to this address: page and request are of one origin.
        (
            {
                "host": "evil.example:8100",
                "origin": "http://evil.example:8100",
                "sec_fetch_site": "same-origin",
            },
            "evil.example",
        ),
    ],
)
def test_other_sites_pages_may_not(headers: dict[str, str], named: str) -> None:
    with pytest.raises(HTTPException) as refused:
        Writers().check(_asking(**headers))
    assert refused.value.status_code == 403
    assert named in refused.value.detail


def test_where_a_token_is_needed_it_is_from_everybody() -> None:
    writers = Writers(BearerToken("s3cret"))
    page = {"host": "models.example", "origin": "https://models.example"}
    for headers in ({}, page):
        with pytest.raises(HTTPException) as refused:
            writers.check(_asking(**headers))
        assert refused.value.status_code == 401
        writers.check(_asking(**headers, authorization="Bearer s3cret"))
    # Not even the token lets a page of another site in.
    with pytest.raises(HTTPException) as refused:
        writers.check(
            _asking(
                host="models.example", origin="http://evil.example", authorization="Bearer s3cret"
            )
        )
    assert refused.value.status_code == 403
