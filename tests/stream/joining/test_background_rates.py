from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.isolation.hints import Hints
from stream.joining.background_rates import background_between, background_within
from stream.joining.join import Join
from stream.joining.usage_rates import rates_between, reading
from stream.learning import plain
from tests.stream.builders import START_MS, Record, fleet, joined, usage, zones

HINTS = Hints(background=["system"])


def test_only_workloads_that_are_hinted_at_count() -> None:
    before = usage(0, {"x": [1, 10, 100]}, ids=["system/a", "web", "system/b"], hertz=5)
    after = usage(2000, {"x": [3, 20, 104]}, ids=["system/a", "web", "system/b"], hertz=9)
    found = background_between(reading(before), reading(after), ("hertz", "x"), HINTS)
    assert found.tolist() == [0.0, 3.0]  # nobody knows whose the node's own features are


def test_who_comes_counts_from_the_second_time_as_in_the_nodes_rates() -> None:
    before = usage(0, {"x": [1, 10]}, ids=["system/a", "web"])
    after = usage(1000, {"x": [30, 5, 500]}, ids=["web", "system/a", "system/new"])
    found = background_between(reading(before), reading(after), ("x",), HINTS)
    assert found.tolist() == [4.0]


def test_rates_are_added_up_as_they_are() -> None:
    record = usage(0, {"x": [1, 10, 100]}, ids=["system/a", "web", "system/b"], interval=3.0)
    assert background_within(record, ("x", "y"), HINTS).tolist() == [101.0, 0.0]
    assert background_within(usage(0, interval=3.0, x=4), ("x",), HINTS).tolist() == [0.0]


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1e9), st.floats(0, 1e6)), min_size=1),
)
def test_background_and_the_rest_are_the_nodes(workloads: list[tuple[bool, float, float]]) -> None:
    ids = [f"{'system' if hidden else 'web'}/{n}" for n, (hidden, _, _) in enumerate(workloads)]
    before = reading(usage(0, {"x": [start for _, start, _ in workloads]}, ids=ids))
    after = reading(usage(3000, {"x": [a + b for _, a, b in workloads]}, ids=ids))
    whole = rates_between(before, after)
    assert whole is not None
    some = background_between(before, after, ("x",), HINTS)
    others = background_between(before, after, ("x",), Hints(target=["system"]))
    np.testing.assert_allclose(some + others, whole[1], rtol=1e-9, atol=1e-6)


@pytest.fixture
def records() -> list[Record]:
    return fleet(nodes=3, steps=40)


def test_samples_have_their_background_only_where_somebody_hints_at_it(
    records: list[Record],
) -> None:
    plainly, hinted = joined(records), joined(records, Join(hints=Hints(["2"])))
    assert len(plainly) == len(hinted) > 100
    for one, other in zip(plainly, hinted, strict=True):
        assert one.background is None
        assert other.background is not None
        assert other.rates.tobytes() == one.rates.tobytes()
        assert (other.background <= one.rates + 1e-6).all()
    assert any(sample.background.any() for sample in hinted if sample.background is not None)


def test_a_restored_join_goes_on_bit_for_bit(records: list[Record]) -> None:
    whole = Join(hints=Hints(["2"]))
    found = joined(records, whole)
    parts, again = [], Join(hints=Hints(["2"]))
    for place, record in enumerate(records):
        parts += joined([record], again)
        if place % 13 == 5:
            state, again = plain.load(plain.dump(again.state())), Join(hints=Hints(["2"]))
            again.restore(state)
    assert plain.dump(again.state()) == plain.dump(whole.state())
    assert list(map(repr, parts)) == list(map(repr, found))


def test_a_record_out_of_order_splits_the_background_too() -> None:
    join = Join(hints=HINTS)
    ids = ["system/a", "web"]
    records: list[Record] = [
        zones(START_MS, {"package": 0}),
        usage(START_MS, {"x": [0, 0]}, ids=ids),
        usage(START_MS + 4000, {"x": [40, 4]}, ids=ids),
        usage(START_MS + 1000, {"x": [4, 1]}, ids=ids),
        zones(START_MS + 5000, {"package": 100}),
    ]
    found = joined(records, join)
    assert [sample.rates.tolist() for sample in found] == [[5.0], [13.0]]
    backgrounds = [sample.background for sample in found]
    assert [None if one is None else one.tolist() for one in backgrounds] == [[4.0], [12.0]]
