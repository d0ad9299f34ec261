"""Pages are read and written without a change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.export.exposition import labelled, read_page

PAGE = """# HELP kepler_node_cpu_watts Power, in W.
# TYPE kepler_node_cpu_watts gauge
kepler_node_cpu_watts{zone="package"} 31.82
# HELP t_seconds How long.
# TYPE t_seconds histogram
t_seconds_bucket{le="1"} 2
t_seconds_bucket{le="+Inf"} 3
t_seconds_sum 4.5
t_seconds_count 3
plain 7 1700000000000
"""


def test_a_page_comes_out_as_it_went_in() -> None:
    page = read_page(PAGE)
    assert page.text() == PAGE
    assert list(page.families) == ["kepler_node_cpu_watts", "t_seconds", "plain"]
    assert next(page.samples("plain")).value == 7.0


def test_what_is_added_stands_with_its_family() -> None:
    page = read_page(PAGE)
    page.family("kepler_node_cpu_watts", "gauge", "unused").lines.append("kepler_node_cpu_watts 1")
    page.family("own", "gauge", "Ours.").lines.append("own 2")
    lines = page.text().splitlines()
    assert lines[2:5] == [PAGE.splitlines()[2], "kepler_node_cpu_watts 1", PAGE.splitlines()[3]]
    assert lines[-3:] == ["# HELP own Ours.", "# TYPE own gauge", "own 2"]


@given(st.dictionaries(st.sampled_from("abcd"), st.text(max_size=20)), st.floats(0, 1e12))
def test_labels_survive_whatever_is_in_them(labels: dict[str, str], value: float) -> None:
    page = read_page(f"name{{{labelled(labels)}}} {value}\n")
    (sample,) = page.samples("name")
    assert (dict(sample.labels), sample.value) == (labels, value)


def test_values_that_no_counter_can_have_are_left_out() -> None:
    page = read_page('a{b="1"} NaN\na{b="2"} -1\na{b="3"} +Inf\na{b="4"} x\na{b="5"} 5\n')
    assert [sample.value for sample in page.samples("a")] == [5.0]


@pytest.mark.parametrize("text", ["<html>\n", "{}\n", "name\n", "na me 1x 2\n{a} 3\n"])
def test_what_is_no_page_is_refused_by_line(text: str) -> None:
    with pytest.raises(ValueError, match="no sample: "):
        read_page(text)
