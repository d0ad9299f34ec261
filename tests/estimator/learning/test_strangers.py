from __future__ import annotations

import numpy as np
import pytest

from estimator.learning.strangers import FIRST_CONTACT, TRANSFER, StrangerScores
from stream.learning import plain

WATTS = np.array([[50.0, 10.0], [70.0, 12.0]])


def test_each_kind_has_its_errors_and_those_without_samples_have_none() -> None:
    scores = StrangerScores(2)
    assert scores.errors(0) == {}
    scores.update(TRANSFER, WATTS + np.array([4.0, -1.0]), WATTS, 0.0)
    assert list(scores.errors(0)) == [TRANSFER]
    found = scores.errors(1)[TRANSFER]
    assert (found["count"], found["mae"], found["bias"]) == (2.0, 1.0, -1.0)
    scores.update(FIRST_CONTACT, WATTS + 3.0, WATTS, 0.0)
    assert scores.errors(0)[FIRST_CONTACT]["mae"] == pytest.approx(3.0)
    assert scores.errors(0)[TRANSFER]["mae"] == pytest.approx(4.0)


def test_those_of_shards_add_up() -> None:
    one, other, both = (StrangerScores(2) for _ in range(3))
    one.update(TRANSFER, WATTS + 1.0, WATTS, 0.0)
    other.update(TRANSFER, WATTS + 3.0, WATTS, 0.0)
    for wrong in (1.0, 3.0):
        both.update(TRANSFER, WATTS + wrong, WATTS, 0.0)
    merged = StrangerScores(2)
    for each in (one, other):
        merged.absorb(each)
    assert merged.errors(0)[TRANSFER] == pytest.approx(both.errors(0)[TRANSFER], nan_ok=True)


def test_go_on_from_their_state() -> None:
    one, other = StrangerScores(2), StrangerScores(2)
    one.update(FIRST_CONTACT, WATTS + 1.0, WATTS, 0.0)
    other.restore(plain.load(plain.dump(one.state())))
    for each in (one, other):
        each.update(FIRST_CONTACT, WATTS + 2.0, WATTS, 3.0)
    assert plain.dump(one.state()) == plain.dump(other.state())
