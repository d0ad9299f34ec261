"""Input that is made up to break whoever reads it."""

from __future__ import annotations

import json

from hypothesis import strategies as st

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: (
        st.lists(inside, max_size=5) | st.dictionaries(st.text(max_size=8), inside, max_size=5)
    ),
    max_leaves=20,
)
"""Whatever JSON can hold, and NaN and lone surrogates besides."""


def encoded(document: object) -> bytes:
    """As JSON, also what no JSON should hold."""
    return json.dumps(document).encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Good bytes with some of them cut out, doubled, or replaced."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 20)))
        data[start:end] = draw(st.binary(max_size=20) | st.just(bytes(data[start:end]) * 2))
    return bytes(data)
