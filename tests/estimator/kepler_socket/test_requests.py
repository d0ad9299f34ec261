import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.kepler_socket.mending import mend
from estimator.kepler_socket.requests import MOST_NUMBERS, UnreadableError, decode_request
from tests.estimator.served import power_request


def as_bytes(**changes: object) -> bytes:
    return json.dumps({**power_request([[1.0], [2.0]]), **changes}).encode()


def test_a_request_of_kepler() -> None:
    request = decode_request(as_bytes(values=[[1, 2.5], [0, 3e3]], metrics=["a", "b"]))
    assert request is not None
    assert request.metrics == ("a", "b")
    assert request.rows.tolist() == [[1.0, 2.5], [0.0, 3000.0]]
    assert (request.output_type, request.source) == ("AbsPower", "rapl-sysfs")
    assert request.complaints == ()


def test_absent_and_null_keys_are_defaults_and_unknown_ones_are_ignored() -> None:
    data = (
        b'{"metrics":["a"],"values":[[1]],"output_type":"DynPower","filter":null,"new":{"x":[1]}}'
    )
    request = decode_request(data)
    assert request is not None
    assert (request.source, request.trainer_name, request.filter) == (None, "", "")


BAD_VALUES = [
    ("[[1],[NaN]]", 2, "values[1][0]: nan"),
    ("[[1],[Infinity]]", 2, "values[1][0]: inf"),
    ("[[1],[1e999]]", 2, "values[1][0]: inf"),
    ("[[1],[null]]", 2, "values[1][0]: None"),
    ('[[1],["2"]]', 2, "values[1][0]: '2'"),
    ("[[1],[true]]", 2, "values[1][0]: True"),
    ("[[1],[-2]]", 2, "values[1][0]: -2"),
    ("[[1],[1,2]]", 2, "values[1]: has 2 numbers for 1 metrics"),
    ("[[1],[]]", 2, "values[1]: has 0 numbers"),
    ("[[1],7,8]", 3, "values[1]: 7 is not a list"),
    ("[[1],[[[[3]]]]]", 2, "values[1][0]: [[[3]]]"),
    ("[[1],[" + "9" * 400 + "]]", 2, "values[1][0]: 999"),
    ("[]", 0, "values: there are no rows"),
]


@pytest.mark.parametrize("bad", [[[-1.0]], [[math.inf]], [[math.nan]], [[1.0, 2.0]]])
def test_one_bad_row_among_many_is_seen(bad: list[list[float]]) -> None:
    assert decode_request(as_bytes(values=[[1.0]] * 100)) is not None
    assert decode_request(as_bytes(values=[[1.0]] * 100 + bad)) is None


@pytest.mark.parametrize(("values", "rows", "said"), BAD_VALUES)
def test_bad_rows_count_as_zeros_and_good_ones_stay(values: str, rows: int, said: str) -> None:
    data = b'{"metrics":["a"],"output_type":"DynPower","values":' + values.encode() + b"}"
    assert decode_request(data) is None
    request = mend(data)
    assert request.rows.tolist() == [[1.0]][:rows] + [[0.0]] * (rows - 1)
    assert said in "; ".join(request.complaints)
    assert all(len(complaint) < 200 for complaint in request.complaints)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": []}, "metrics: there are none"),
        ({"metrics": "a"}, "metrics: 'a' is not a list"),
        ({"metrics": [1]}, "metrics: [1] is not a list of names"),
        ({"metrics": None}, "metrics: None"),
        ({"output_type": "Foo"}, "output_type: 'Foo'"),
        ({"output_type": None}, "output_type: None"),
        ({"source": 5}, "source: 5"),
        ({"trainer_name": ["x"]}, "trainer_name: ['x']"),
        ({"filter": {}}, "filter: {}"),
    ],
)
def test_bad_keys_are_named_and_rows_counted(changes: dict[str, object], said: str) -> None:
    data = as_bytes(**changes)
    assert decode_request(data) is None
    request = mend(data)
    assert len(request.rows) == 2
    assert any(said in complaint for complaint in request.complaints)


def test_of_a_feature_named_twice_the_first_counts() -> None:
    data = as_bytes(metrics=["a", "b", "a"], values=[[1, 2, 3]])
    assert decode_request(data) is None
    request = mend(data)
    assert request.metrics == ("a", "b")
    assert request.rows.tolist() == [[1.0, 2.0]]
    assert "'a' comes twice" in request.complaints[0]


def test_bad_utf8_costs_a_complaint_not_the_rows() -> None:
    data = as_bytes(trainer_name="x").replace(b'"x"', b'"\xff\xfe"')
    assert decode_request(data) is None
    request = mend(data)
    assert request.rows.tolist() == [[1.0], [2.0]]
    assert request.complaints == ("request: is not UTF-8",)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"values":5}',
        b"{]}",
        b'{"values":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"metrics":["a"],"values":[' + b"[1]," * MOST_NUMBERS + b"[1]]}",
        b'{"x":"' + b"x" * (5 << 20) + b'"}',
    ],
    ids=["empty", "list", "no rows", "noise", "deep", "numbers", "long"],
)
def test_rows_that_cannot_be_counted(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode_request(data) or mend(data)


@given(
    st.lists(st.lists(st.floats(0, 1e300), min_size=3, max_size=3), min_size=1, max_size=20),
)
def test_decoding_keeps_every_bit(values: list[list[float]]) -> None:
    data = as_bytes(metrics=["a", "b", "c"], values=values)
    request = decode_request(data)
    assert request is not None
    np.testing.assert_array_equal(request.rows, np.array(values))
    np.testing.assert_array_equal(mend(data).rows, request.rows)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=20,
    ),
    st.sampled_from(["metrics", "values", "output_type", "source", "filter"]),
)
def test_whatever_a_key_holds_rows_are_counted_or_it_is_refused(value: object, key: str) -> None:
    data = as_bytes(**{key: value})
    try:
        request = decode_request(data) or mend(data)
    except UnreadableError:
        assert key == "values"
        assert not isinstance(value, list)
        return
    assert len(request.rows) == (len(value) if key == "values" else 2)  # type: ignore[arg-type]  # a list then
    assert np.isfinite(request.rows).all()
    assert (request.rows >= 0).all()
