"""Each isolator's numbers, against what kepler-model-server's contract says of its algorithm."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from estimator.arrays import Floats
from estimator.isolation.choose import make_isolator
from estimator.isolation.profile import SCHEMA, IdleProfile, PowerRange, StoredProfiles
from estimator.learning.model import PowerModel
from estimator.model_key import ModelKey
from estimator.storage.store import InMemoryStore
from estimator.vocabulary import ABS_POWER
from stream.learning.pools import pool

KEY = ModelKey("xeon", "rapl-sysfs", ABS_POWER, "CPUTime")
COMPONENTS = ("package", "dram")


def drawn(rows: Floats) -> Floats:
    return np.hstack([30.0 + 60.0 * rows, 5.0 + 3.0 * rows])


@pytest.fixture
def watts() -> Floats:
    """What was measured: idle twice, and mostly busy."""
    busy = np.random.default_rng(1).uniform(0.1, 1.0, (60, 1))
    busy[[10, 40]] = 0.0
    return drawn(busy)


@pytest.fixture
def model(watts: Floats) -> PowerModel:
    model = PowerModel(["bpf_cpu_time_ms"], COMPONENTS, pool().banks)
    for number, one in enumerate(watts):
        row = (one[:1] - 30.0) / 60.0 * 8000.0
        model.learn_round(row[None], one[None], 1_700_000_000_000 + 3000 * number)
    return model


def test_min_subtracts_each_labels_minimum(model: PowerModel, watts: Floats) -> None:
    level = make_isolator("min").level(KEY, model)
    assert level is not None
    assert (watts - level).tolist() == (watts - watts.min(axis=0)).tolist()
    model.learn_round(np.zeros((1, 1)), np.zeros((1, 2)), 1_800_000_000_000)
    again = make_isolator("min").level(KEY, model)
    assert again is not None
    assert again.tolist() == level.tolist()  # one low reading


def test_none_subtracts_nothing(model: PowerModel) -> None:
    level = make_isolator("none").level(KEY, model)
    assert level is not None
    assert level.tolist() == [0.0, 0.0]


def test_idle_subtracts_what_zeros_are_answered_with(model: PowerModel) -> None:
    level = make_isolator("idle").level(KEY, model)
    assert level is not None
    assert model.current is not None
    assert level.tolist() == model.current.predict_many(np.zeros((1, 1)))[0].tolist()


def test_nothing_is_known_before_anything_was_learned() -> None:
    model = PowerModel(["x"], ["package"], pool().banks)
    assert make_isolator("min").level(KEY, model) is None
    assert make_isolator("idle").level(KEY, model) is None


def profile(**sources: dict[str, PowerRange]) -> dict[str, IdleProfile]:
    found = {name.replace("_", "-"): ranges for name, ranges in sources.items()}
    return {"xeon": IdleProfile(SCHEMA, "xeon", 0, 1, found)}


def test_profile_subtracts_half_of_the_least_and_the_greatest_idle_power(
    model: PowerModel,
) -> None:
    ranges = {"package": PowerRange(30.0, 34.0, 9), "dram": PowerRange(5.0, 5.5, 9)}
    isolator = make_isolator("profile", profiles=profile(rapl_sysfs=ranges))
    level = isolator.level(KEY, model)
    assert level is not None
    assert level.tolist() == [(30.0 + 34.0) / 2, (5.0 + 5.5) / 2]


@pytest.mark.parametrize(
    ("profiles", "why", "package"),
    [
        ({}, ["is not there"], None),
        (profile(acpi={}), [f"has no {name} of rapl-sysfs" for name in COMPONENTS], None),
        (
            profile(rapl_sysfs={"package": PowerRange(1.0, 2.0, 9)}),
            ["has no dram of rapl-sysfs"],
            1.5,
        ),
    ],
)
def test_where_nothing_was_recorded_the_idle_level_stands_in_and_that_is_said_once(
    model: PowerModel,
    caplog: pytest.LogCaptureFixture,
    profiles: dict[str, IdleProfile],
    why: list[str],
    package: float | None,
) -> None:
    isolator = make_isolator("profile", profiles=profiles)
    idle = make_isolator("idle").level(KEY, model)
    assert idle is not None
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            level = isolator.level(KEY, model)
            assert level is not None
            assert level.tolist() == [idle[0] if package is None else package, idle[1]]
    assert [record.getMessage() for record in caplog.records] == [
        f"the idle profile of node type xeon {one}; its idle level is used until one is recorded"
        for one in why
    ]


def test_a_damaged_profile_is_as_none(model: PowerModel, caplog: pytest.LogCaptureFixture) -> None:
    store = InMemoryStore()
    store.put("profiles/xeon.json", b"{}")
    isolator = make_isolator("profile", profiles=StoredProfiles(store))
    assert isolator.level(KEY, model) is not None
    assert "cannot be read: profiles/xeon.json is damaged" in caplog.text


def test_the_trainers_models_are_above_already(model: PowerModel) -> None:
    level = make_isolator("trainer").level(KEY, model)
    assert level is not None
    assert level.tolist() == [0.0, 0.0]


def test_a_model_above_idle_says_0_to_zeros_and_no_less_than_0() -> None:
    model = PowerModel(["x"], ["package"], pool().banks, above_idle=True)
    for number in range(40):
        busy = 1.0 + number % 5
        model.learn_round(np.array([[busy]]), np.array([[7.0 * busy]]), 3000 * number)
    other = PowerModel(["x"], ["package"], pool().banks, above_idle=True)
    other.restore(model.state())
    for one in (model, other, model.merged([other])):
        assert one.current is not None
        assert one.current.floor.tolist() == one.current.idle.tolist() == [0.0]
        assert one.predict_one({"x": 0.0}) == {"package": 0.0}
        assert one.predict_one({"x": 3.0})["package"] == pytest.approx(21.0, abs=0.5)
