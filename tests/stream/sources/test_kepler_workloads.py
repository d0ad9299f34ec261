from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.sources.kepler_exposition import Sample
from stream.sources.kepler_workloads import column, workloads

IDS = st.sampled_from("abcdef")
COLUMNS = st.dictionaries(
    st.sampled_from(["bpf_cpu_time_ms", "cpu_cycles", "cache_miss"]),
    st.dictionaries(IDS, st.floats(0, 1e15)),
)


@given(COLUMNS)
def test_every_value_is_one_that_was_read_and_every_list_is_aligned(
    columns: dict[str, dict[str, float]],
) -> None:
    rows = workloads("container", columns)
    assert rows.id == sorted(set(rows.id))
    assert len(rows.kind) == len(rows.id)
    assert bool(rows.id) == any(columns.values())
    assert bool(rows.features) == bool(rows.id)
    for feature, values in rows.features.items():
        assert values == [columns[feature][identity] for identity in rows.id]


@given(st.dictionaries(IDS, st.floats(0, 1e15), min_size=1), st.sampled_from(["x", "y"]))
def test_a_series_that_starts_late_is_not_filled_up(values: dict[str, float], late: str) -> None:
    columns = {"x": {**values, "new": 1.0}, "y": {**values, "new": 2.0}, "z": dict(values)}
    assert workloads("process", columns).features.keys() == {"x", "y"}
    columns = {"x": values, "y": values, "z": {**values, late: 1.0}}
    rows = workloads("process", columns)
    assert rows.features.keys() == {"x", "y", "z"}
    assert late not in rows.id


def test_samples_of_one_workload_are_added_and_the_ended_left_out() -> None:
    samples = [
        Sample("s", {"pid": "1", "state": "running"}, 0.5),
        Sample("s", {"pid": "1"}, 0.25),
        Sample("s", {"pid": "2", "state": "terminated"}, 9.0),
        Sample("s", {"pid": ""}, 9.0),
        Sample("s", {}, 9.0),
    ]
    assert column(samples, "pid", factor=1000.0) == {"1": 750.0}
