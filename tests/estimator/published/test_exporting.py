"""Export and import: what one site has learned is what another site starts from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.artifacts.artifact import Artifact
from estimator.artifacts.kepler_curves import LOGISTIC, Curve
from estimator.choosing.catalog import Catalog
from estimator.choosing.choice import Entry
from estimator.errors import MisuseError, WattstreamError
from estimator.machine import MachineSpec
from estimator.published.exporting import Export, export_models
from estimator.published.importing import import_models
from estimator.published.kepler_weights import weights_answer
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore, Store, open_store
from tests.estimator.artifacts.made import XEON, made_artifact
from tests.estimator.published.made import LINEAR, pipeline
from tests.estimator.published.test_importing import write

EPYC = MachineSpec("amd", "epyc_7763", 128, 2, 512, 2450, 2)
EXPORT = Export("site-a", publisher="Site A")


def store_with(*artifacts: Artifact) -> Store:
    store = InMemoryStore()
    for artifact in artifacts:
        ModelStore(store).publish(artifact)
    return store


def entries(store: Store) -> list[Entry]:
    catalog = Catalog(ModelStore(store))
    catalog.refresh()
    return list(catalog.entries)


def weights_of(entry: Entry, trainer: str = LINEAR) -> dict[str, Any]:
    answer = weights_answer(entry, trainer)
    return {name: part for name, part in answer.items() if name != "model_name"}


def with_curve(artifact: Artifact) -> Artifact:
    feature = artifact.manifest.features[0]
    curves = {LOGISTIC: {"package": Curve(feature, 4000.0, [80.0, 0.5, 8.0, 40.0])}}
    return artifact._replace(manifest=msgspec.structs.replace(artifact.manifest, curves=curves))


def test_another_site_is_given_the_same_weights(tmp_path: Path) -> None:
    here = store_with(
        made_artifact(),
        made_artifact(machine=EPYC, seed=1),
        made_artifact(source="acpi", components=("platform",), seed=2),
        made_artifact(output_type="DynPower", seed=3),
    )
    done = export_models(here, tmp_path / "out", EXPORT)
    assert not done.left_out
    assert sorted(done.files) == [
        f"site-a/acpi/AbsPower/BPFOnly/{LINEAR}_1.json",
        f"site-a/rapl-sysfs/AbsPower/BPFOnly/{LINEAR}_0.json",
        f"site-a/rapl-sysfs/AbsPower/BPFOnly/{LINEAR}_1.json",
        f"site-a/rapl-sysfs/DynPower/BPFOnly/{LINEAR}_1.json",
    ]
    there = InMemoryStore()
    imported = import_models(ModelStore(there), str(tmp_path / "out"))
    assert imported.refused == []
    assert len(imported.models) == 4
    mine = {e.manifest.key.slug: e for e in entries(here)}
    for entry in entries(there):
        key = entry.manifest.key
        assert key.imported == f"site-a/{LINEAR}"
        own = mine[msgspec.structs.replace(key, imported="").slug]
        theirs, ours = weights_of(entry), weights_of(own)
        for spec in (theirs, ours):
            for name in ("vendor", "threads_per_core"):
                spec["machine_spec"].pop(name)
        if key.output_type == "DynPower":
            # Above idle there is nothing where there is no usage.
            for part in ("package", "dram"):
                ours[part]["All_Weights"]["Bias_Weight"] = 0.0
        assert theirs == ours


def test_curves_go_along(tmp_path: Path) -> None:
    here = store_with(with_curve(made_artifact(with_lines=False)))
    done = export_models(here, tmp_path, EXPORT)
    assert list(done.files) == [f"site-a/rapl-sysfs/AbsPower/BPFOnly/{LOGISTIC}_0.json"]
    assert not done.left_out
    there = InMemoryStore()
    import_models(ModelStore(there), str(tmp_path))
    (entry,) = entries(there)
    assert weights_of(entry, LOGISTIC)["package"]["All_Weights"]["CurveFit_Weights"] == [
        *(80.0, 0.5, 8.0, 40.0)
    ]


def test_whole_models_are_a_store_that_serves_them(tmp_path: Path) -> None:
    here = store_with(made_artifact(trees=True, neighbours=True))
    export_models(here, tmp_path, EXPORT._replace(raw=True))
    (own,) = entries(here)
    (copy,) = entries(open_store(f"file://{tmp_path}/store"))
    assert copy.digest == own.digest
    rows = np.array([[1000.0, 30.0], [0.0, 0.0]])
    assert copy.model.predict_many(rows).tolist() == own.model.predict_many(rows).tolist()


@given(mae=st.floats(0, 50), most=st.floats(0, 50), horizon=st.sampled_from(["0", "300"]))
def test_models_that_are_too_wrong_stay_here(
    tmp_path_factory: pytest.TempPathFactory, mae: float, most: float, horizon: str
) -> None:
    folder = tmp_path_factory.mktemp("export")
    here = store_with(
        made_artifact(mae={"0": 1.0, horizon: mae}), made_artifact(machine=EPYC, mae={"0": 0.0})
    )
    done = export_models(here, folder, EXPORT._replace(most_mae=most))
    assert len(done.files) == 1 + (mae <= most)
    assert len(done.left_out) == (mae > most)
    for why in done.left_out.values():
        assert why == f"its error is {mae:.2f} W"


def test_percent_may_make_up_for_watts(tmp_path: Path) -> None:
    artifact = made_artifact()
    errors = {
        name: {"0": {"count": 9.0, "mae": 30.0, "mape": 4.0}}
        for name in artifact.manifest.components
    }
    manifest = msgspec.structs.replace(artifact.manifest, errors=errors)
    here = store_with(artifact._replace(manifest=manifest))
    with pytest.raises(WattstreamError, match=r"its error is 30.00 W and 4.0 %"):
        export_models(here, tmp_path, EXPORT._replace(most_mape=3.0))
    assert len(export_models(here, tmp_path, EXPORT).files) == 1


def test_the_readme_says_how_wrong_they_were(tmp_path: Path) -> None:
    here = store_with(made_artifact(mae={"0": 1.234, "300": 5.678}), made_artifact(machine=EPYC))
    export_models(here, tmp_path, EXPORT)
    text = (tmp_path / "site-a" / "README.md").read_text()
    assert text.startswith("# site-a\n\nPublished by Site A. Learned from 1970-01-01 00:00 to 2023")
    assert "| 1 | xeon_gold_6130 | 64 | 2 | 188 | 2100 |" in text
    assert (
        f"| 1 | rapl-sysfs | AbsPower | BPFOnly | dram | {LINEAR} | 100 | 1.23 | - | 5.68 | - |"
    ) in text
    widths = {line.count("|") for line in text.splitlines() if re.match(r"\| \d", line)}
    assert widths == {7, 12}
    metadata = json.loads((tmp_path / "site-a" / "metadata.json").read_bytes())
    assert metadata["publisher"] == "Site A"
    assert [model["node_type"] for model in metadata["models"]] == [0, 1]


def test_the_index_says_what_machines_they_are(tmp_path: Path) -> None:
    export_models(store_with(made_artifact()), tmp_path, EXPORT)
    index = json.loads((tmp_path / "site-a" / "node_type_index.json").read_bytes())
    machine = {"processor": XEON.processor, "cores": 64, "chips": 2, "memory": 188}
    assert index == {"0": {"attrs": {**machine, "frequency": 2100}, "members": []}}


def test_what_was_imported_is_not_exported_again(tmp_path: Path) -> None:
    here = store_with(made_artifact())
    import_models(ModelStore(here), str(write(tmp_path / "in", pipeline())))
    done = export_models(here, tmp_path / "out", EXPORT)
    assert len(done.files) == 1
    assert set(done.left_out.values()) >= {f"it was imported itself, from some-pipeline/{LINEAR}"}


@pytest.mark.parametrize(
    ("artifacts", "said"),
    [
        ((), "the store has no models"),
        ((made_artifact(with_lines=False),), "has no linear weights for Kepler"),
        ((made_artifact(mae={"0": 70.0}), made_artifact(machine=EPYC, mae={})), "is not known yet"),
        ((made_artifact(mae={"0": 70.0}), made_artifact(machine=EPYC, mae={})), "and 1 others"),
    ],
)
def test_nothing_to_export(tmp_path: Path, artifacts: tuple[Artifact, ...], said: str) -> None:
    with pytest.raises(WattstreamError, match=f"there is nothing to export: .*{said}"):
        export_models(store_with(*artifacts), tmp_path / "out", EXPORT)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(MisuseError, match=r"is there and not empty"):
        export_models(store_with(made_artifact()), tmp_path, EXPORT)
    with pytest.raises(MisuseError, match=r"name is '../up'"):
        export_models(store_with(made_artifact()), tmp_path / "x", Export("../up"))
    with pytest.raises(MisuseError, match=r"cannot be written"):
        export_models(store_with(made_artifact()), tmp_path / "mine" / "x", EXPORT)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
