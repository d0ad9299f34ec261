from __future__ import annotations

import numpy as np
import pytest

from estimator.learning.questions import OF_A_ROUND, rows_asked
from estimator.regressors.batch import Batch, Round


def fleet(nodes: int, interval_ms: int, rounds: int) -> Batch:
    rows = np.zeros((nodes, 1))
    return Batch([Round(rows, rows, 1_790_000_000_000 + n * interval_ms) for n in range(rounds)])


@pytest.mark.parametrize("nodes", [5, 8, 60, 1000])
@pytest.mark.parametrize("interval_ms", [1000, 3000, 5000, 60_000])
def test_every_node_of_a_fleet_has_its_turn(nodes: int, interval_ms: int) -> None:
    batch = fleet(nodes, interval_ms, 10 * nodes)
    asked = [[row % nodes for row in rows_asked(batch, n)] for n in range(len(batch))]
    assert all(len(set(rows)) == OF_A_ROUND for rows in asked)
    assert len(set().union(*map(set, asked))) == nodes


def test_of_a_small_round_all_are_asked_about() -> None:
    batch = fleet(OF_A_ROUND, 3000, 3)
    assert [list(rows_asked(batch, n)) for n in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
