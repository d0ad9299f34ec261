from __future__ import annotations

import itertools

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.conftest import Serve, Served, make_served
from tests.server.error_shape import assert_error
from tests.server.fakes import make_entry

ENTRY = make_entry()
WHOLE = b"PK the bytes of " + ENTRY.digest.encode()


def _get(client: Served, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(f"/artifacts/{ENTRY.digest}", headers=given)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("3-9", 3, 9), ("70-", 70, 79), ("-10", 70, 79), ("79-900", 79, 79)],
)
def test_a_part_may_be_asked_for(serve: Serve, asked: str, first: int, last: int) -> None:
    assert len(WHOLE) == 80
    response = _get(serve(ENTRY), range=f"bytes={asked}")
    assert (response.status_code, response.content) == (206, WHOLE[first : last + 1])
    assert response.headers["content-range"] == f"bytes {first}-{last}/80"
    assert response.headers["content-length"] == str(last + 1 - first)
    assert response.headers["etag"] == f'"{ENTRY.digest}"'


@pytest.mark.parametrize("asked", ["bytes=80-", "bytes=900-901", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused(serve: Serve, asked: str) -> None:
    response = _get(serve(ENTRY), range=asked)
    assert_error(response, 416, "80 bytes")
    assert response.headers["content-range"] == "bytes */80"


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=9-3", "bytes=0-1,4-5", "lines=1-2", "é", ""])
def test_what_is_no_range_is_not_heeded(serve: Serve, asked: str) -> None:
    response = serve(ENTRY).get(
        f"/artifacts/{ENTRY.digest}", headers=[(b"range", asked.encode("latin-1"))]
    )
    assert (response.status_code, response.content) == (200, WHOLE)


def test_a_range_of_another_version_gives_all_of_this_one(serve: Serve) -> None:
    client = serve(ENTRY)
    assert _get(client, range="bytes=0-3", if_range='"other"').status_code == 200
    same = _get(client, range="bytes=0-3", if_range=f'"{ENTRY.digest}"')
    assert (same.status_code, same.content) == (206, WHOLE[:4])


def test_who_has_it_already_gets_no_part(serve: Serve) -> None:
    response = _get(serve(ENTRY), range="bytes=0-3", if_none_match=f'"{ENTRY.digest}"')
    assert (response.status_code, response.content) == (304, b"")


def test_head_says_that_ranges_are_possible(serve: Serve) -> None:
    response = serve(ENTRY).head(f"/artifacts/{ENTRY.digest}", headers={"range": "bytes=0-3"})
    assert response.status_code == 200
    assert response.headers["accept-ranges"] == "bytes"


@given(st.lists(st.integers(1, 79), unique=True, max_size=6).map(sorted))
def test_parts_put_together_are_the_whole(cuts: list[int]) -> None:
    edges = [0, *cuts, 80]
    with make_served(ENTRY) as client:
        parts = [
            _get(client, range=f"bytes={first}-{end - 1}").content
            for first, end in itertools.pairwise(edges)
        ]
    assert b"".join(parts) == WHOLE
