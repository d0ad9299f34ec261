from __future__ import annotations

import logging
from typing import Any

import msgspec
import numpy as np
import pytest

from estimator.artifacts.artifact import Artifact
from estimator.artifacts.kepler_curves import EXPONENTIAL, LOGISTIC, Curve
from estimator.choosing.catalog import Catalog, Entry, Query
from estimator.errors import DamagedError, NoModelError, RequestError, StoreError
from estimator.machine import MachineSpec
from estimator.published.kepler_weights import evaluate_as_kepler, weights_answer
from estimator.storage.model_store import ModelStore
from estimator.storage.retention import last
from estimator.storage.store import InMemoryStore, Stored
from estimator.vocabulary import FEATURE_GROUPS
from tests.estimator.artifacts.made import XEON, made_artifact

EPYC = MachineSpec("amd", "epyc_7763", 128, 1, 256, 2400, 2)
ARM = MachineSpec("arm", "graviton", 64, 1, 128, 2600, 1)
KEPLER_METRICS = (*FEATURE_GROUPS["WorkloadOnly"], "cpu_ref_cycles", "cpu_architecture")


class Failing(InMemoryStore):
    """A store that can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.down_below: str | None = None

    def get(self, path: str) -> Stored:
        if self.down_below is not None and path.startswith(self.down_below):
            raise StoreError("the store is down")
        self._fail()
        return super().get(path)

    def list(self, prefix: str) -> list[str]:
        self._fail()
        return super().list(prefix)

    def _fail(self) -> None:
        if self.down:
            raise StoreError("the store is down")


@pytest.fixture
def store() -> Failing:
    return Failing()


@pytest.fixture
def models(store: Failing) -> ModelStore:
    return ModelStore(store)


@pytest.fixture
def catalog(models: ModelStore) -> Catalog:
    return Catalog(models)


def asked(**changes: Any) -> Query:
    return Query(**{"metrics": KEPLER_METRICS, **changes})


def chosen(catalog: Catalog, **changes: Any) -> Entry:
    return catalog.select(asked(**changes))


def digests(catalog: Catalog) -> list[str]:
    return [entry.digest for entry in catalog.entries]


def complaint(catalog: Catalog) -> str | None:
    return catalog.last_error


# Refreshing -----------------------------------------------------------------------------------


def test_what_is_published_can_be_chosen(models: ModelStore, catalog: Catalog) -> None:
    assert digests(catalog) == []
    assert not catalog.refresh()
    artifact = made_artifact()
    name = models.publish(artifact)
    assert catalog.refresh()
    assert digests(catalog) == [name]
    entry = catalog.entries[0]
    assert (entry.digest, entry.manifest, entry.number) == (name, artifact.manifest, 1)
    rows = np.array([[500.0, 20.0]])
    np.testing.assert_array_equal(entry.model.predict_many(rows), artifact.model.predict_many(rows))
    assert chosen(catalog) is entry
    assert not catalog.refresh()
    assert catalog.entries[0] is entry


def test_only_what_is_new_is_loaded(models: ModelStore, catalog: Catalog) -> None:
    models.publish(made_artifact())
    models.publish(made_artifact(group="CPUTime"))
    catalog.refresh()
    before = catalog.entries
    name = models.publish(made_artifact(seed=2))
    assert catalog.refresh()
    assert catalog.entries is not before
    assert [entry.digest == name for entry in catalog.entries] == [True, False]
    assert catalog.entries[1] is before[1]


def test_rolling_back_changes_what_is_chosen(models: ModelStore, catalog: Catalog) -> None:
    first, second = (models.publish(made_artifact(seed=seed)) for seed in (1, 2))
    catalog.refresh()
    assert chosen(catalog).digest == second
    models.roll_back(chosen(catalog).manifest.key.slug, first)
    assert catalog.refresh()
    assert chosen(catalog).digest == first


def test_instead_of_a_damaged_version_the_one_before_it_is_used(
    store: Failing, models: ModelStore, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    names = [models.publish(made_artifact(seed=seed)) for seed in range(3)]
    store.put(f"artifacts/{names[2]}.zip", b"damaged")
    store.delete(f"artifacts/{names[1]}.zip")
    assert catalog.refresh()
    assert chosen(catalog).digest == names[0]
    assert catalog.last_error is None
    assert names[2] in caplog.text
    said = len(caplog.records)
    # In a running catalog as well, and it is said once.
    newest = models.publish(made_artifact(seed=4))
    store.put(f"artifacts/{newest}.zip", b"damaged")
    assert not catalog.refresh()
    assert chosen(catalog).digest == names[0]
    whole = models.publish(made_artifact(seed=5))
    assert catalog.refresh()
    assert chosen(catalog).digest == whole
    assert len(caplog.records) > said


def test_with_no_readable_version_the_last_good_one_stays(
    store: Failing, models: ModelStore, catalog: Catalog
) -> None:
    good = models.publish(made_artifact(seed=1), keep=last(1))
    catalog.refresh()
    bad = models.publish(made_artifact(seed=2), keep=last(1))
    store.put(f"artifacts/{bad}.zip", b"damaged")
    assert not catalog.refresh()
    assert chosen(catalog).digest == good


def test_a_model_with_a_damaged_index_stays_and_one_without_an_index_goes(
    store: Failing, models: ModelStore, catalog: Catalog
) -> None:
    models.publish(made_artifact())
    models.publish(made_artifact(machine=EPYC))
    catalog.refresh()
    first, second = (f"models/{entry.manifest.key.slug}.json" for entry in catalog.entries)
    store.put(first, b"{")
    assert not catalog.refresh()
    store.delete(second)
    assert catalog.refresh()
    assert [entry.number for entry in catalog.entries] == [2]
    store.delete(first)
    assert catalog.refresh()
    assert digests(catalog) == []


def test_while_the_store_is_down_models_stay(
    store: Failing, models: ModelStore, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    models.publish(made_artifact())
    store.down = True
    with pytest.raises(StoreError, match="is down"):
        catalog.refresh()
    assert complaint(catalog) == "the store is down"
    store.down = False
    assert catalog.refresh()
    assert complaint(catalog) is None
    caplog.clear()
    for _ in range(2):
        store.down = True
        with caplog.at_level(logging.WARNING):
            assert not catalog.refresh()
            assert not catalog.refresh()
        assert complaint(catalog) == "the store is down"
        assert chosen(catalog).number == 1
        store.down = False
        assert not catalog.refresh()
        assert complaint(catalog) is None
    assert len(caplog.records) == 2


def test_an_artifact_that_cannot_be_fetched_now_is_fetched_later(
    store: Failing, models: ModelStore, catalog: Catalog
) -> None:
    models.publish(made_artifact(seed=1))
    catalog.refresh()
    before = digests(catalog)
    name = models.publish(made_artifact(seed=2))
    store.down_below = "artifacts/"
    assert not catalog.refresh()
    assert digests(catalog) == before
    assert complaint(catalog) == "the store is down"
    store.down_below = None
    assert catalog.refresh()
    assert digests(catalog) == [name]
    assert complaint(catalog) is None


# Choosing -------------------------------------------------------------------------------------


@pytest.fixture
def fleet(models: ModelStore, catalog: Catalog) -> Catalog:
    """Three node types, numbered in this order, with models of different worth."""
    models.publish(made_artifact(machine=XEON, mae={"0": 1, "300": 5}, samples=10))
    models.publish(made_artifact(machine=XEON, group="CPUTime", mae={"0": 1, "300": 6}))
    models.publish(made_artifact(machine=EPYC, mae={"0": 1, "300": 7}, seed=1))
    models.publish(made_artifact(machine=ARM, mae={"0": 4, "300": None}, with_lines=False))
    models.publish(
        made_artifact(source="acpi", components=("platform",), mae={"0": 9}, machine=EPYC)
    )
    catalog.refresh()
    return catalog


def test_the_least_error_wins_where_nothing_is_said_of_the_machine(fleet: Catalog) -> None:
    entry = chosen(fleet)
    assert (entry.number, entry.error) == (3, 4)
    for query in ({"node_type": 0}, {"machine": MachineSpec()}, {"loose": False}):
        assert chosen(fleet, **query) is entry
    assert chosen(fleet, weight=True).error == 5


def test_errors_are_those_of_the_worst_component() -> None:
    artifact = made_artifact(mae={"0": 2, "300": 3})
    errors = artifact.manifest.errors
    entry = Entry("", artifact.manifest, artifact.model, 1)
    assert entry.error == 3
    errors["dram"]["300"]["mae"] = 8
    assert entry.error == 8
    errors["dram"]["300"]["mae"] = None
    assert entry.error == 2
    errors["dram"].clear()
    assert entry.error == float("inf")


def test_all_features_of_a_model_are_needed(fleet: Catalog) -> None:
    only = chosen(fleet, metrics=("cpu_architecture", "unheard_of", "bpf_cpu_time_ms"))
    assert only.manifest.features == ["bpf_cpu_time_ms"]
    with pytest.raises(NoModelError, match="metrics are cpu_cycles: models need bpf_cpu_time_ms"):
        chosen(fleet, metrics=("cpu_cycles",))
    with pytest.raises(NoModelError, match="metrics are none"):
        chosen(fleet, metrics=())


@pytest.mark.parametrize("source", ["rapl-sysfs", "intel_rapl", "rapl-msr", ""])
def test_every_rapl_is_one_source(fleet: Catalog, source: str) -> None:
    assert chosen(fleet, source=source).manifest.key.source == "rapl-sysfs"


def test_other_sources_and_output_types(fleet: Catalog) -> None:
    assert chosen(fleet, source="acpi").error == 9
    with pytest.raises(NoModelError, match=r"'redfish' .* models of .*acpi AbsPower"):
        chosen(fleet, source="redfish")
    with pytest.raises(NoModelError, match="DynPower"):
        chosen(fleet, output_type="DynPower")
    with pytest.raises(RequestError, match="'Foo': known are AbsPower, DynPower"):
        chosen(fleet, output_type="Foo")


def test_an_empty_catalog_says_so(catalog: Catalog) -> None:
    with pytest.raises(NoModelError, match="there are models of none"):
        chosen(catalog)


def test_a_number_is_that_node_type_exactly(fleet: Catalog) -> None:
    assert chosen(fleet, node_type=1).manifest.machine == XEON
    assert chosen(fleet, node_type=2).manifest.machine == EPYC
    # A number means more than a machine, and 1 is not 12 or 21.
    assert chosen(fleet, node_type=2, machine=XEON).number == 2
    for number in (12, 21):
        with pytest.raises(NoModelError, match=f"node_type is {number}: .* models of 1, 2, 3"):
            chosen(fleet, node_type=number, loose=False)
        assert chosen(fleet, node_type=number).number == 3
        assert chosen(fleet, node_type=number, machine=XEON).number == 1


@pytest.mark.parametrize("node_type", [0, -1])
def test_the_machine_decides_where_the_number_does_not(fleet: Catalog, node_type: int) -> None:
    for machine, number in ((XEON, 1), (EPYC, 2), (ARM, 3)):
        same = msgspec.structs.replace(machine, vendor="", threads_per_core=0)
        assert chosen(fleet, node_type=node_type, machine=same).number == number
        assert chosen(fleet, node_type=node_type, machine=same, loose=False).number == number
    assert chosen(fleet, machine=XEON).error == 5
    assert chosen(fleet, machine=MachineSpec(processor="epyc_7763")).number == 2
    similar = MachineSpec("", "xeon_gold_6230", 80, 2, 384, 2100)
    assert chosen(fleet, node_type=node_type, machine=similar).number == 1
    with pytest.raises(NoModelError, match=r"machine_spec is of xeon_gold_6230-.* models of epyc"):
        chosen(fleet, node_type=node_type, machine=similar, loose=False)


def test_the_most_similar_machine_is_sought_among_models_that_can_be_used(fleet: Catalog) -> None:
    assert chosen(fleet, machine=ARM).number == 3
    assert chosen(fleet, machine=ARM, weight=True).number in (1, 2)
    assert chosen(fleet, machine=ARM, filter="mae:5").number == 3
    assert chosen(fleet, machine=EPYC, filter="mae:5").number in (1, 3)
    with pytest.raises(NoModelError, match="no model fits with filter 'mae:0'"):
        chosen(fleet, machine=EPYC, filter="mae:0")


def test_filters(fleet: Catalog) -> None:
    assert chosen(fleet, filter="mae:4").number == 3
    assert chosen(fleet, filter=" mae : 100 ; count:9 ;").number == 3
    assert chosen(fleet, filter="features:bpf_cpu_time_ms").error == 6
    assert chosen(fleet, filter="package_mae:4.5").number == 3
    for nothing in ("mae:3.9", "mape:100", "unheard_of:inf", "count:10", "features:cpu_cycles"):
        with pytest.raises(NoModelError, match=f"filter '{nothing}'"):
            chosen(fleet, filter=nothing)
    for wrong in ("mae", "mae:", ":5", "mae:five", "mae:nan", "mae=5"):
        with pytest.raises(RequestError, match=f"filter has '{wrong}'"):
            chosen(fleet, filter=wrong)


def test_filters_apply_to_numbered_node_types_too(fleet: Catalog) -> None:
    assert chosen(fleet, node_type=1, filter="features:bpf_cpu_time_ms").error == 6
    assert chosen(fleet, node_type=1, filter="mae:4").number == 3
    with pytest.raises(NoModelError, match=r"node_type is 1: .* with filter 'mae:4'"):
        chosen(fleet, node_type=1, filter="mae:4", loose=False)


def test_trainers(fleet: Catalog) -> None:
    for name in ("", "SGDRegressorTrainer"):
        assert chosen(fleet, weight=True, trainer_name=name).error == 5
    for name in ("", "Wattstream", "ridge2-300s", "SGDRegressorTrainer", "LinearRegressionTrainer"):
        assert chosen(fleet, trainer_name=name).error == 4
    for name in (
        "LogisticRegressionTrainer",
        "LogarithmicRegressionTrainer",
        "ExponentialRegressionTrainer",
        "SGD",
        "Wattstream",
    ):
        with pytest.raises(NoModelError, match=f"'{name}': there are weights of SGDRegressorTr"):
            chosen(fleet, weight=True, trainer_name=name)
    with pytest.raises(
        NoModelError, match=r"'XgboostFitTrainer': there are models of .*Wattstream"
    ):
        chosen(fleet, trainer_name="XgboostFitTrainer")


def test_weights_are_never_of_a_model_without_lines(fleet: Catalog) -> None:
    assert chosen(fleet, node_type=3).number == 3
    with pytest.raises(NoModelError, match=r"node_type is 3: .* with weights"):
        chosen(fleet, node_type=3, weight=True, loose=False)


def test_psys_alone_makes_no_weights(models: ModelStore, catalog: Catalog) -> None:
    models.publish(made_artifact(components=("psys",)))
    catalog.refresh()
    with pytest.raises(NoModelError, match="no model fits with weights"):
        chosen(catalog, weight=True)
    with pytest.raises(NoModelError, match="no model fits with weights"):
        chosen(catalog, weight=True, machine=XEON)


def test_of_equals_always_the_same_is_chosen(store: Failing, catalog: Catalog) -> None:
    models = ModelStore(store)
    names = [models.publish(made_artifact(machine=m, mae={"0": 1})) for m in (XEON, EPYC, ARM)]
    catalog.refresh()
    assert chosen(catalog).digest == min(names)


def test_messages_stay_short_in_a_large_catalog(models: ModelStore, catalog: Catalog) -> None:
    for cores in range(1, 31):
        models.publish(made_artifact(machine=MachineSpec(cores=cores)))
    catalog.refresh()
    with pytest.raises(NoModelError, match=r"12 and 18 others$") as caught:
        chosen(catalog, node_type=99, loose=False)
    assert len(str(caught.value)) < 200
    with pytest.raises(NoModelError) as caught:
        chosen(catalog, metrics=("x" * 10_000,) * 1000)
    assert len(str(caught.value)) < 2000


def test_for_machines_without_meters_the_transfer_error_decides(
    models: ModelStore, catalog: Catalog
) -> None:
    cautious = models.publish(made_artifact(mae={"300": 3.0, "transfer": 4.0}))
    models.publish(made_artifact(group="Basic", mae={"300": 1.0, "transfer": 9.0}))
    unscored = models.publish(made_artifact(group="CPUTime", mae={"300": 5.0}))
    catalog.refresh()
    assert chosen(catalog).manifest.key.feature_group == "Basic"
    assert chosen(catalog, unmetered=True).digest == cautious
    # One that was never scored on strangers is taken at its served error.
    assert chosen(catalog, unmetered=True, metrics=("bpf_cpu_time_ms",)).digest == unscored


def test_curves_are_chosen_by_their_trainers_name_for_keplers_first_metric_alone(
    models: ModelStore, catalog: Catalog
) -> None:
    plain, curved = made_artifact(mae={"300": 1.0}), made_artifact(group="CPUTime", seed=2)
    curve = Curve("bpf_cpu_time_ms", 4096.0, [20.0, 1.5, 30.0])
    manifest = msgspec.structs.replace(curved.manifest, curves={EXPONENTIAL: {"package": curve}})
    models.publish(plain)
    name = models.publish(Artifact(manifest, curved.model))
    catalog.refresh()
    metrics = ("bpf_cpu_time_ms", "bpf_page_cache_hit")
    asked_for: dict[str, Any] = {"weight": True, "metrics": metrics}
    found = chosen(catalog, trainer_name=EXPONENTIAL, **asked_for)
    assert (found.digest, found.manifest) == (name, manifest)
    answer = weights_answer(found, EXPONENTIAL)
    assert answer["model_name"] == f"{EXPONENTIAL}_1"
    assert evaluate_as_kepler(answer, {"bpf_cpu_time_ms": 4096.0})["package"] == 119_633
    # Without that name weights are linear, as Kepler would break down at others.
    assert "CurveFit" not in str(weights_answer(chosen(catalog, **asked_for)))
    with pytest.raises(NoModelError, match="trainer_name is 'LogisticRegressionTrainer'"):
        chosen(catalog, trainer_name=LOGISTIC, **asked_for)
    asked_for["metrics"] = metrics[::-1]
    with pytest.raises(NoModelError, match="for 'bpf_page_cache_hit', the first metric"):
        chosen(catalog, trainer_name=EXPONENTIAL, **asked_for)


@pytest.mark.parametrize(
    ("trainer", "curve"),
    [
        (EXPONENTIAL, Curve("bpf_cpu_time_ms", 4096.0, [20.0, 1.5])),
        (EXPONENTIAL, Curve("bpf_cpu_time_ms", 0.0, [20.0, 1.5, 3.0])),
        (EXPONENTIAL, Curve("bpf_cpu_time_ms", 1.0, [20.0, float("nan"), 3.0])),
        (EXPONENTIAL, Curve("cpu_cycles", 1.0, [20.0, 1.5, 3.0])),
        ("NeuralTrainer", Curve("bpf_cpu_time_ms", 1.0, [20.0, 1.5, 3.0])),
    ],
)
def test_curves_that_kepler_would_break_down_at_are_refused(
    models: ModelStore, trainer: str, curve: Curve
) -> None:
    made = made_artifact()
    manifest = msgspec.structs.replace(made.manifest, curves={trainer: {"package": curve}})
    with pytest.raises(DamagedError, match=r"curves\."):
        models.publish(Artifact(manifest, made.model))


def test_how_sure_a_choice_is(catalog: Catalog, models: ModelStore) -> None:
    for number, machine in enumerate((XEON, EPYC)):
        models.publish(made_artifact(seed=number, machine=machine), last(10))
    catalog.refresh()
    known = catalog.choose(asked(machine=XEON))
    assert (known.entry.manifest.machine, known.uncertainty, known.looseness) == (XEON, 0.0, 0.0)
    like = catalog.choose(asked(machine=msgspec.structs.replace(XEON, cores=XEON.cores - 2)))
    assert like.entry.manifest.machine == XEON
    assert 0.0 < like.looseness < 0.1
    anybody = catalog.choose(asked())
    members = [entry.manifest.samples for entry in catalog.entries]
    share = anybody.entry.manifest.samples / sum(members)
    assert anybody.uncertainty == pytest.approx(1.0 - share)
    assert anybody.why.startswith("served error, ")
    assert catalog.choose(asked(unmetered=True)).why.startswith("transfer error, ")


def test_a_pipeline_can_be_asked_for(catalog: Catalog, models: ModelStore) -> None:
    artifact = made_artifact()
    models.publish(artifact, last(10))
    catalog.refresh()
    assert chosen(catalog, pipeline="wattstream").pipeline == "wattstream"
    with pytest.raises(NoModelError, match=r"pipeline_name is 'ec2': there are models of watts"):
        chosen(catalog, pipeline="ec2")
