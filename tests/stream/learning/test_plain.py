from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream.learning import plain

dtypes = st.one_of(
    arrays.floating_dtypes(sizes=(32, 64)),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.boolean_dtypes(),
)
numbers = arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.binary(max_size=5),
    numbers,
)
values = st.recursive(
    leaves,
    lambda inside: st.one_of(
        st.lists(inside, max_size=4), st.dictionaries(st.text(max_size=4), inside, max_size=4)
    ),
    max_leaves=12,
)
states = st.dictionaries(st.text(max_size=4), values, max_size=5)


def same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(two, np.ndarray)
            and (one.dtype, one.shape) == (two.dtype, two.shape)
            and one.tobytes() == two.tobytes()
        )
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and bool(one == two)


@given(states)
def test_what_is_dumped_is_loaded(state: dict[str, Any]) -> None:
    data = plain.dump(state)
    again = plain.load(data)
    assert same(state, again)
    assert plain.dump(again) == data


def test_bits_of_floats_are_kept() -> None:
    odd = np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324])
    assert plain.load(plain.dump({"x": odd}))["x"].tobytes() == odd.tobytes()


def test_views_are_written_as_what_they_show() -> None:
    whole = np.arange(12.0).reshape(3, 4)
    again = plain.load(plain.dump({"x": whole[::2, 1:].T}))["x"]
    np.testing.assert_array_equal(again, whole[::2, 1:].T)


def test_loaded_arrays_can_be_written_to() -> None:
    again = plain.load(plain.dump({"x": np.zeros(3)}))["x"]
    again += 1
    assert again.base is None


def test_tuples_and_numpys_numbers_become_plain() -> None:
    state = {"x": (1, 2), "y": np.float64(0.5), "z": np.int64(7), "w": np.bool_(True)}
    assert plain.load(plain.dump(state)) == {"x": [1, 2], "y": 0.5, "z": 7, "w": True}


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.array([None, 1.0]),
        np.zeros(2, dtype=[("x", "O")]),
        object(),
        {1, 2}.__iter__(),
    ],
)
def test_what_is_not_plain_data_is_refused(value: object) -> None:
    with pytest.raises((NotImplementedError, TypeError)):
        plain.dump({"x": value})


def test_what_is_no_state_is_refused() -> None:
    for data in (b"", b"\xc1", msgspec.msgpack.encode([1]), plain.dump({"x": 1})[:-1]):
        with pytest.raises(msgspec.DecodeError):
            plain.load(data)


@pytest.mark.parametrize(("code", "kind"), [(2, "<f8"), (1, "|O")])
def test_foreign_extensions_and_arrays_of_objects_are_not_loaded(code: int, kind: str) -> None:
    header = msgspec.msgpack.encode((kind, (1,)))
    extension = msgspec.msgpack.Ext(code, len(header).to_bytes(2, "little") + header + bytes(8))
    with pytest.raises(msgspec.DecodeError, match=r"unknown|not plain data"):
        plain.load(msgspec.msgpack.encode({"x": extension}))
