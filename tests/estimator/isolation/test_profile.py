from __future__ import annotations

import numpy as np
import pytest

from estimator.errors import DamagedError
from estimator.isolation.profile import FOLDER, SCHEMA, IdleProfile, PowerRange, StoredProfiles
from estimator.storage.store import InMemoryStore

GOLDEN = (
    b'{"schema":1,"node_type":"xeon-8c.0","since":1000,"until":61000,"sources":'
    b'{"rapl-sysfs":{"package":{"min":30.0,"max":32.0,"samples":20},'
    b'"dram":{"min":3.0,"max":4.0,"samples":20}}}}'
)


def made(node_type: str = "xeon-8c.0") -> IdleProfile:
    ranges = {"package": PowerRange(30.0, 32.0, 20), "dram": PowerRange(3.0, 4.0, 20)}
    return IdleProfile(SCHEMA, node_type, 1000, 61_000, {"rapl-sysfs": ranges})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_background_is_half_way_whatever_the_step_was() -> None:
    # kepler-model-server divides watts by the sample step once more: 31 W become 10.3 W.
    level = made().level("rapl-sysfs", ("dram", "package"))
    np.testing.assert_array_equal(level, [3.5, 31.0])


def test_what_was_not_recorded_is_not_guessed() -> None:
    assert np.isnan(made().level("acpi", ("platform",))).all()
    # core is part of uncore's name only: kepler-model-server takes one for the other.
    assert np.isnan(made().level("rapl-sysfs", ("core", "package"))).tolist() == [True, False]


def test_profiles_are_kept_by_node_type_in_these_bytes() -> None:
    store = InMemoryStore()
    assert StoredProfiles(store).put(made()) == "profiles/xeon-8c_0.json"
    assert store.get("profiles/xeon-8c_0.json").data == GOLDEN
    assert StoredProfiles(store).get("xeon-8c.0") == made()
    assert StoredProfiles(store).get("other") is None


def test_another_recording_is_taken_up_soon() -> None:
    store, clock = InMemoryStore(), Clock()
    profiles = StoredProfiles(store, clock)
    assert profiles.get("xeon-8c.0") is None
    StoredProfiles(store).put(made())
    clock.now = 29.0
    assert profiles.get("xeon-8c.0") is None
    clock.now = 30.0
    assert profiles.get("xeon-8c.0") == made()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "profiles/a.json is damaged"),
        (GOLDEN, "profiles/a.json is of schema 1 and node type 'xeon-8c.0': 1 and 'a' are needed"),
        (GOLDEN.replace(b'"schema":1', b'"schema":2'), "of schema 2"),
    ],
)
def test_damaged_profiles_are_refused_by_name(data: bytes, said: str) -> None:
    store = InMemoryStore()
    store.put(f"{FOLDER}/a.json", data)
    with pytest.raises(DamagedError, match=said):
        StoredProfiles(store).get("a")
