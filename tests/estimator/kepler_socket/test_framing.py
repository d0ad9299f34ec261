import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import RequestError
from estimator.kepler_socket.framing import MOST_DEPTH, Framer, is_one_object

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)
BLANKS = st.text(" \t\r\n", max_size=3)


def framed(pieces: list[bytes], most_bytes: int = 1 << 20) -> list[bytes]:
    framer = Framer(most_bytes)
    documents = []
    for piece in pieces:
        framer.feed(piece)
        while (document := framer.take()) is not None:
            documents.append(document)
    return documents


@given(st.lists(st.tuples(OBJECTS, BLANKS, st.booleans()), max_size=5), st.data())
def test_any_chunking_gives_the_same_documents(
    parts: list[tuple[dict[str, object], str, bool]], data: st.DataObject
) -> None:
    documents = [json.dumps(one, ensure_ascii=escaped).encode() for one, _, escaped in parts]
    stream = b"".join(
        document + blank.encode() for document, (_, blank, _) in zip(documents, parts, strict=True)
    )
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert framed(pieces) == documents


@pytest.mark.parametrize(
    "document",
    [
        b'{"metrics":["a"],"values":[[1,2],[3,4]],"output_type":"AbsPower"}',
        b'{"a":"}{\\"}\\\\","b":{"c":[{}]},"d":"\\\\"}',
        '{"name":"größe € 𝄞 }"}'.encode(),
        b"{}",
    ],
)
def test_split_at_every_byte(document: bytes) -> None:
    for cut in range(len(document) + 1):
        assert framed([document[:cut], document[cut:]]) == [document]
    assert framed([document[at : at + 1] for at in range(len(document))]) == [document]
    assert framed([document * 3]) == [document] * 3


@given(st.binary(max_size=200))
def test_what_is_surely_one_object_is_framed_as_one(noise: bytes) -> None:
    chunk = b"{" + noise + b"}"
    if is_one_object(chunk):
        # The slow way, forced by a split, agrees.
        assert framed([chunk[:1], chunk[1:]]) == [chunk]


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_is_an_error_or_waits(pieces: list[bytes]) -> None:
    framer = Framer(100)
    for piece in pieces:
        framer.feed(piece)
        try:
            while (document := framer.take()) is not None:
                assert document[:1] == b"{"
                assert document[-1:] == b"}"
        except RequestError:
            return
        assert framer.pending <= 100 or framer.take() is None


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (b"GET / HTTP/1.1\r\n", "begins with b'GET"),
        (b"[1]", "not with an object"),
        (b'{"a":' * (MOST_DEPTH + 1), "nested more than"),
        (b'{"a":"' + b"x" * 2000, "more than 1000 bytes"),
        (b'{"a":"' + b"x" * 2000 + b'"}', "more than 1000 bytes"),
    ],
)
def test_what_can_never_be_a_request_is_refused(noise: bytes, said: str) -> None:
    framer = Framer(1000)
    framer.feed(noise)
    with pytest.raises(RequestError, match=said):
        framer.take()


def test_every_byte_is_read_once() -> None:
    # Quadratic reading would take minutes: 8 MiB in 128 pieces, each ending in a brace.
    framer = Framer(1 << 24)
    framer.feed(b'{"values":"')
    assert framer.take() is None
    for _ in range(128):
        framer.feed(b"}" * (1 << 16))
        assert framer.take() is None
    framer.feed(b'"}')
    document = framer.take()
    assert document is not None
    assert len(document) == (1 << 23) + 13
    assert framer.pending == 0
