from __future__ import annotations

import json
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from estimator.artifacts.artifact import Artifact
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.published.pipelines import read_pipelines
from estimator.published.priors import Priors, imported_priors
from estimator.published.published_weights import Place, published_artifact
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from tests.estimator.artifacts.made import made_artifact
from tests.estimator.published.made import LINEAR, LOGISTIC, curve, line, pipeline

KEY = ModelKey("any", "rapl-sysfs", "AbsPower", "Basic")
FEATURES = ("bpf_cpu_time_ms", "cpu_cycles")
SMALL = MachineSpec(processor="x", cores=8, chips=1, memory=4, frequency=2000)


def made(document: Any, machine: MachineSpec, trainer: str = LINEAR, members: int = 1) -> Artifact:
    place = Place("p", "rapl-sysfs", "AbsPower", "BPFOnly", trainer, "0")
    return published_artifact(json.dumps(document).encode(), place, machine, members)


def test_the_most_similar_machine_is_chosen_by_the_rules_of_the_contract() -> None:
    priors = Priors(one for one in _of_pipeline() if isinstance(one, Artifact))
    for machine, cores in (
        (SMALL, 8),
        (MachineSpec(cores=64), 64),
        (MachineSpec(processor="Y"), 64),
    ):
        found = priors.prior(KEY, machine, FEATURES, ("package",))
        assert found is not None
        assert f"-{cores}c-" in found.origin
        assert LINEAR in found.origin


def _of_pipeline() -> Any:
    return read_pipelines({name: partial(bytes, data) for name, data in pipeline().items()}, "p")


def test_of_machines_equally_like_it_the_one_with_more_members_is_chosen() -> None:
    one = made({"package": line(1, 10)}, MachineSpec(processor="x", cores=8, memory=8))
    other = made(
        {"package": line(1, 20)}, MachineSpec(processor="x", cores=8, memory=16), LINEAR, 5
    )
    for order in ([one, other], [other, one]):
        found = Priors(order).prior(
            KEY, MachineSpec(processor="x", cores=8), FEATURES, ("package",)
        )
        assert found is not None
        assert "-16g-" in found.origin


def test_it_is_brought_to_the_size_of_the_machine() -> None:
    priors = Priors([made({"package": line(10, 100, 8000)}, SMALL)])
    large = msgspec.structs.replace(SMALL, cores=32)
    found = priors.prior(KEY, large, FEATURES, ("package",))
    assert found is not None
    assert found.rows.max(axis=0).tolist() == [32_000.0, 0.0]
    # As many sockets, four times the cores: twice the power.
    assert np.ptp(found.watts) == pytest.approx(200.0)
    same = priors.prior(KEY, SMALL, FEATURES, ("package",))
    assert same is not None
    assert np.ptp(same.watts) == pytest.approx(100.0)


def test_what_nothing_is_known_of_does_not_grow_or_grows_with_its_whole() -> None:
    priors = Priors([made({"package": line(10, 100), "core": line(0, 0)}, SMALL)])
    found = priors.prior(KEY, SMALL, FEATURES, ("package", "core", "uncore"))
    assert found is not None
    package, core, uncore = found.watts.T
    assert (core == package).all()
    assert np.ptp(uncore) == 0.0
    assert priors.prior(KEY, SMALL, FEATURES, ("uncore",)) is None


def test_a_feature_that_makes_no_difference_is_not_needed() -> None:
    document = {"package": curve([80.0, 0.5, 8.0, 40.0])}
    priors = Priors([made(document, SMALL, LOGISTIC)])
    found = priors.prior(KEY, SMALL, ("bpf_cpu_time_ms",), ("package",))
    assert found is not None
    assert np.diff(found.watts[:, 0]).max() > 1.5 * np.diff(found.watts[:, 0]).min()
    assert priors.prior(KEY, SMALL, ("cpu_cycles",), ("package",)) is None


def test_nothing_is_taken_for_an_unknown_machine_or_another_meter() -> None:
    priors = Priors([made({"package": line(10, 100)}, SMALL)])
    assert priors.prior(KEY, MachineSpec(), FEATURES, ("package",)) is None
    acpi = msgspec.structs.replace(KEY, source="acpi")
    assert priors.prior(acpi, SMALL, FEATURES, ("platform",)) is None
    assert len(Priors([made({"package": line(10, 0)}, SMALL)])) == 0


def test_only_imported_models_of_a_store_are_taken() -> None:
    models = ModelStore(InMemoryStore())
    models.publish(made_artifact())
    assert len(imported_priors(models)) == 0
    models.publish(made({"package": line(10, 100)}, SMALL))
    assert len(imported_priors(models)) == 1
