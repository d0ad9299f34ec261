from __future__ import annotations

from typing import Any

import pytest

from estimator.errors import MisuseError
from estimator.isolation.choose import DEFAULT, ISOLATORS, make_isolator
from estimator.settings import Settings


def test_the_predecessors_names_are_known_and_ours() -> None:
    assert {"min", "none", "profile", "trainer"} < set(ISOLATORS)
    assert Settings().isolator == DEFAULT
    for name in ISOLATORS:
        assert make_isolator(name).word.startswith(name)


def test_an_unknown_name_lists_those_that_are_known() -> None:
    with pytest.raises(MisuseError, match=r"'mni': known are idle, min, none, profile, trainer"):
        make_isolator("mni")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("min", {"bg_hints": ["a"]}, "isolator_args has 'bg_hints': isolator 'min' heeds none"),
        ("trainer", {"hints": []}, "has 'hints': isolator 'trainer' heeds bg_hints, target_hints"),
        ("trainer", {"bg_hints": 3}, "bg_hints is 3: a list of texts is needed"),
        ("trainer", {"target_hints": [1]}, r"target_hints is \[1\]: a list of texts"),
    ],
)
def test_wrong_arguments_are_named(name: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        make_isolator(name, arguments)


def test_hints_are_a_list_or_a_text_with_commas() -> None:
    one = make_isolator("trainer", {"bg_hints": "a, b", "target_hints": ["c", " "]})
    two = make_isolator("trainer", {"bg_hints": ["a", "b"], "target_hints": "c"})
    assert one.word == two.word == "trainer(bg_hints=['a', 'b'], target_hints=['c'])"
    assert one.hints is not None
    assert one.hints.mask(["xa", "xc", "d"]).tolist() == [True, False, True]


def test_only_the_trainer_needs_workloads() -> None:
    assert [name for name in ISOLATORS if make_isolator(name).hints is not None] == ["trainer"]
