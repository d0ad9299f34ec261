from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import WattstreamError
from stream.sources.prometheus_series import SeriesMeta, SeriesTable, read_series


def table_of(answer: Any) -> SeriesTable:
    return read_series(json.dumps(answer).encode(), "answer.json", {"a", "b"}, SeriesMeta)


def points_of(table: SeriesTable) -> list[tuple[int, int, float]]:
    return list(
        zip(table.times_ms.tolist(), table.series.tolist(), table.values.tolist(), strict=True)
    )


def series(values: Any, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "values": values}


POINTS = st.lists(
    st.tuples(st.integers(0, 4_000_000_000), st.floats(0, 1e18)), unique_by=lambda point: point[0]
)


@given(st.lists(POINTS))
def test_all_points_come_back_in_order_of_time(rows: list[list[tuple[int, float]]]) -> None:
    answer = {"a_total": [series([[t, repr(v)] for t, v in points]) for points in rows]}
    table = table_of(answer)
    kept = [points for points in rows if points]  # a series without points is none
    expected = {(t * 1000, row, v) for row, points in enumerate(kept) for t, v in points}
    assert set(points_of(table)) == expected
    assert table.times_ms.tolist() == sorted(table.times_ms.tolist())
    assert table.skipped == 0


def test_both_forms_read_the_same() -> None:
    rows = [("a_total", {"x": "1"}, [[1, "5"]]), ("b", {"x": "2"}, [[1.5, "6"], [2, "7"]])]
    by_metric = {name: [series(values, **labels)] for name, labels, values in rows}
    matrix = [series(values, __name__=name, **labels) for name, labels, values in rows]
    api = {"status": "success", "data": {"resultType": "matrix", "result": matrix}}
    assert points_of(table_of(api)) == points_of(table_of(by_metric))
    assert points_of(table_of(api)) == [(1000, 0, 5.0), (1500, 1, 6.0), (2000, 1, 7.0)]
    assert [meta.name for meta in table_of(api).meta] == ["a", "b"]


@pytest.mark.parametrize(
    "bad",
    [
        *("[2, 'NaN']", "[2, '+Inf']", "[2, '-1']", "[2, 'x']", "[2, null]", "[2, true]"),
        *("[2]", "7", "[2, {}]", "[2, '1', 3]", "['t', '1']", "[1, '9']", "[-2, '1']"),
        "[1702462599000, '1']",
    ],
)
def test_a_bad_point_is_set_aside_and_counted(bad: str) -> None:
    point = json.loads(bad.replace("'", '"'))
    table = table_of({"a": [series([[1, "4"], point, [3, "5.5"]])]})
    assert points_of(table) == [(1000, 0, 4.0), (3000, 0, 5.5)]
    assert table.skipped == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": [\n {"metric": {}, "val', "line 2, column 21: Input data was truncated"),
        ('{"a": [\n  1,, 2]}', "line 2, column 5: JSON is malformed: invalid character"),
        ("<html>", "line 1, column 1: JSON is malformed"),
        ("", "it is empty"),
        ("[]", "an object of metrics, or Prometheus' answer, is needed"),
        ('{"a": 5}', "a: Expected `array`"),
        ('{"a": [5]}', r"a\[0\]: Expected `object`"),
        ('{"a": [{"metric": {}, "values": []}, {"metric": {}}]}', r"a\[1\]: .*`values`"),
        ('{"a": [{"metric": {"x": 1}, "values": []}]}', r"a\[0\]: Expected `str`.*metric"),
        ('{"a": [{"metric": {}, "values": 5}]}', r"a\[0\].values: Expected `array`"),
        ('{"status": "error", "error": "too many points"}', "'error': too many points"),
        ('{"status": "success"}', "no data"),
        ('{"status": "success", "data": {"resultType": "vector", "result": []}}', "'vector'"),
        ('{"status": "success", "data": {"resultType": "matrix"}}', "`result`"),
        ('{"status": [], "a": []}', "Expected `str`"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, says: str) -> None:
    with pytest.raises(WattstreamError, match=says) as caught:
        read_series(text.encode(), "answer.json", {"a"}, SeriesMeta)
    assert str(caught.value).startswith("answer.json: ")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_say_where() -> None:
    with pytest.raises(WattstreamError, match=r"^answer.json: a\[0\]: "):
        read_series(
            b'{"a": [{"metric": {"x": "\xff"}, "values": []}]}', "answer.json", {"a"}, SeriesMeta
        )


@pytest.mark.parametrize("data", [b'{"\xff": []}', b'{"a": ' + b"[" * 100_000])
def test_what_no_decoder_can_take_is_an_error_like_any_other(data: bytes) -> None:
    with pytest.raises(WattstreamError, match=r"^answer.json: JSON is malformed: "):
        read_series(data, "answer.json", {"a"}, SeriesMeta)


def test_what_is_not_wanted_is_not_read() -> None:
    table = table_of({"other": "whatever", "a": [series([[1, "1"]])]})
    assert points_of(table) == [(1000, 0, 1.0)]
