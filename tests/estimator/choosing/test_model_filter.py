from __future__ import annotations

import pytest

from estimator.choosing.model_filter import Filterable, parse_filter
from tests.estimator.served import plain_entry

ENTRY = plain_entry()
MODELS = Filterable(
    [(ENTRY, {"mae": 2.0, "r2": 0.5}), (ENTRY, {"mae": 3.0}), (ENTRY, {"count": 9.0}), (ENTRY, {})]
)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [0, 1, 2, 3]),
        ("mae:3", [0, 1]),
        ("mae:2.5;mae:9", [0]),
        ("r2:0.5", [0]),
        ("r2:-inf", [0]),
        ("mae:inf", [0, 1]),
        ("count:1;mae:3", []),
        ("unheard_of:1", []),
        (f"features:{','.join(ENTRY.manifest.features)},more", [0, 1, 2, 3]),
        ("features:more", []),
    ],
)
def test_a_model_without_the_measure_does_not_pass(text: str, places: list[int]) -> None:
    assert MODELS.passing(parse_filter(text)).nonzero()[0].tolist() == places
