from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.sources.kepler_exposition import Sample, read_exposition
from stream.sources.kepler_mapping import SERIES

VALUES = st.floats(0, 1e18)
LABEL = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(LABEL, VALUES), max_size=5))
def test_label_values_of_any_kind_come_back(rows: list[tuple[str, float]]) -> None:
    escaped = [
        (text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"), value)
        for text, value in rows
    ]
    page = "".join(
        f'kepler_process_cpu_seconds_total{{pid="{text}"}} {value!r}\n' for text, value in escaped
    )
    families = read_exposition(page, "text/plain", SERIES).families
    name = "kepler_process_cpu_seconds"
    assert list(families.get(name, [])) == [Sample(name, {"pid": t}, v) for t, v in rows]


@given(st.text(), st.sampled_from(["text/plain", "application/openmetrics-text"]))
def test_garbage_is_a_value_error_or_nothing(text: str, content_type: str) -> None:
    page = f"kepler_node_info{{{text}\nkepler_node_info {text}\n{text}"
    try:
        families = read_exposition(page, content_type, SERIES).families
    except ValueError:
        return
    assert families.keys() <= SERIES


def test_series_that_are_not_used_are_not_even_parsed() -> None:
    page = "kepler_node_cpu_watts{broken 1\nkepler_node_cpu_usage_ratio 0.5\n"
    read = read_exposition(page, "text/plain", {"kepler_node_cpu_usage_ratio"})
    assert list(read.families) == ["kepler_node_cpu_usage_ratio"]


def test_values_that_cannot_be_are_counted() -> None:
    page = "".join(f"kepler_platform_watts {value}\n" for value in ("NaN", "+Inf", "-1", "2"))
    read = read_exposition(page, "text/plain", SERIES)
    assert [sample.value for sample in read.families["kepler_platform_watts"]] == [2.0]
    assert read.skipped == 3
