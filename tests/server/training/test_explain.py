"""What is wrong with a large body is said by its place and the little that is shown of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import RequestError
from server.training.explain import decoded
from server.training.mapped import mapped


class Inner(msgspec.Struct):
    many: list[int]


class Outer(msgspec.Struct):
    inner: Inner
    rest: msgspec.Raw = msgspec.Raw()


DECODER = msgspec.json.Decoder(Outer)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "body is empty: this needs a JSON object"),
        (b'{"inner":{"many":[1,"x"]}}', 'inner.many[1] is "x": Expected `int`, got `str`'),
        (b'{"inner":7}', "inner is 7: Expected `object`, got `int`"),
        (b'{"inner":{}}', "inner.many is missing: this needs it"),
        (b"{}", "inner is missing: this needs it"),
        (b"7", "body is 7: Expected `object`, got `int`"),
    ],
)
def test_names_the_place_and_the_value(body: bytes, says: str) -> None:
    with pytest.raises(RequestError) as wrong:
        decoded(DECODER, body, "this")
    assert str(wrong.value) == says


@given(st.binary(max_size=300))
def test_is_always_one_short_line(body: bytes) -> None:
    with pytest.raises(RequestError) as wrong:
        decoded(DECODER, body, "this")
    assert str(wrong.value).isprintable()
    assert len(str(wrong.value)) < 300


def test_a_file_is_mapped_and_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"inner":{"many":[1]},"rest":{"a":[1,2,3]}}')
    body = mapped(path)
    assert type(body).__name__ == "mmap"
    found = decoded(DECODER, body, "this")
    del body
    assert found.inner.many == [1]
    assert msgspec.json.decode(found.rest) == {"a": [1, 2, 3]}
    path.write_bytes(b"")
    assert mapped(path) == b""
