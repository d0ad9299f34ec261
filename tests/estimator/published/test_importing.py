from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from estimator.choosing.catalog import Catalog
from estimator.choosing.choice import OWN_PIPELINE, Query
from estimator.errors import DamagedError, MisuseError, NoModelError, SourceUnavailableError
from estimator.machine import MachineSpec
from estimator.published.importing import import_at_start, import_models
from estimator.storage import download
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from tests.estimator.artifacts.made import made_artifact
from tests.estimator.published.made import CURVES, LINEAR, LOGARITHMIC, pipeline
from tests.estimator.published.test_pipeline_files import zipped

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "kepler-model-db"
METRICS = ("bpf_cpu_time_ms", "bpf_page_cache_hit")
SMALL = MachineSpec(processor="x", cores=8, chips=1, memory=4, frequency=2000)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def catalog_of(models: ModelStore) -> Catalog:
    catalog = Catalog(models)
    catalog.refresh()
    return catalog


@contextmanager
def served(answer: bytes, status: int = 200, location: str = "") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            moved = bool(location) and self.path == "/moved.zip"
            self.send_response(302 if moved else status)
            if moved:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(b"" if moved else answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_all_four_kinds_come_from_a_folder_and_are_marked(tmp_path: Path) -> None:
    models = ModelStore(InMemoryStore())
    done = import_models(models, str(write(tmp_path, pipeline())))
    assert (len(done.models), done.unchanged, done.refused) == (5, 0, [])
    keys = [index.key for index in models.indexes().values()]
    assert {key.imported for key in keys} == {
        f"some-pipeline/{trainer}" for trainer in (LINEAR, *CURVES)
    }
    assert {key.node_type for key in keys} == {"x-8c-1s-4g-2000m", "y-64c-2s-4g-2000m"}


@pytest.mark.parametrize("prefix", ["", "some-pipeline/", "models/v0.7/some-pipeline/"])
def test_an_archive_is_the_same_as_the_folder(tmp_path: Path, prefix: str) -> None:
    one, other = ModelStore(InMemoryStore()), ModelStore(InMemoryStore())
    (tmp_path / "some-pipeline.zip").write_bytes(zipped(pipeline(prefix)))
    from_archive = import_models(one, str(tmp_path / "some-pipeline.zip")).models
    folder = write(tmp_path / "folder", pipeline())
    assert from_archive == import_models(other, str(folder)).models


def test_importing_again_changes_nothing_whichever_version_is_current(tmp_path: Path) -> None:
    models = ModelStore(InMemoryStore())
    first = import_models(models, str(write(tmp_path, pipeline())))
    changed = pipeline()
    path = f"some-pipeline/rapl-sysfs/AbsPower/BPFOnly/{LINEAR}_0.json"
    changed[path] = changed[path].replace(b"10", b"11")
    second = import_models(models, str(write(tmp_path, changed)))
    assert second.unchanged == 4
    slug = next(slug for slug in first.models if first.models[slug] != second.models[slug])
    assert models.index(slug).current == second.models[slug]
    models.roll_back(slug, first.models[slug])
    assert import_models(models, str(tmp_path)).unchanged == 5
    assert models.index(slug).current == first.models[slug]


def test_a_learned_model_is_never_replaced_and_comes_first(tmp_path: Path) -> None:
    models = ModelStore(InMemoryStore())
    learned = made_artifact(machine=SMALL, mae={})
    manifest = learned.manifest
    kept = models.publish(learned)
    import_models(models, str(write(tmp_path, pipeline())))
    assert models.index(manifest.key.slug).current == kept
    catalog = catalog_of(models)
    for machine in (SMALL, None):
        query = Query(metrics=METRICS, machine=machine)
        assert catalog.select(query).digest == kept


def test_a_line_is_preferred_and_a_trainer_can_be_named(tmp_path: Path) -> None:
    models = ModelStore(InMemoryStore())
    import_models(models, str(write(tmp_path, pipeline())))
    catalog = catalog_of(models)
    query = Query(metrics=METRICS, machine=SMALL)
    assert catalog.select(query).manifest.experts == [LINEAR]
    for trainer in CURVES:
        named = msgspec.structs.replace(query, trainer_name=trainer)
        assert catalog.select(named).manifest.experts == [trainer]
        weights = msgspec.structs.replace(named, weight=True)
        assert catalog.select(weights).manifest.experts == [trainer]
    name = catalog.entries[0].pipeline
    assert catalog.select(msgspec.structs.replace(query, pipeline=name)).pipeline == name
    assert name != OWN_PIPELINE
    large = msgspec.structs.replace(query, machine=MachineSpec(cores=64))
    assert catalog.select(large).manifest.machine.cores == 64
    with pytest.raises(NoModelError):
        catalog.select(msgspec.structs.replace(large, trainer_name=LOGARITHMIC, loose=False))


def test_pickles_are_refused_with_the_reason(tmp_path: Path) -> None:
    models = ModelStore(InMemoryStore())
    place = "some-pipeline/rapl-sysfs/AbsPower/BPFOnly"
    pickled = {
        f"{place}/GradientBoostingRegressorTrainer_0.zip": b"PK",
        f"{place}/KNeighborsRegressorTrainer_0/package.pkl": b"\x80",
    }
    done = import_models(models, str(write(tmp_path, {**pipeline(), **pickled})))
    assert len(done.models) == 5
    assert {refusal.path for refusal in done.refused} == set(pickled)
    assert all("to open a pickle is to run its code" in one.reason for one in done.refused)
    only = {"some-pipeline/node_type_index.json": pipeline()["some-pipeline/node_type_index.json"]}
    with pytest.raises(MisuseError, match="to open a pickle is to run its code"):
        import_models(models, str(write(tmp_path / "only", {**only, **pickled})))
    (tmp_path / "model.zip").write_bytes(zipped({"metadata.json": b"{}", "scaler.pkl": b"\x80"}))
    with pytest.raises(MisuseError, match=r"model\.zip is refused: it holds pickles"):
        import_models(models, str(tmp_path / "model.zip"))
    with pytest.raises(MisuseError, match=r"model\.pkl is refused: it holds pickles"):
        import_models(models, str(tmp_path / "model.pkl"))


def test_one_bad_file_stops_no_other(tmp_path: Path) -> None:
    files, place = pipeline(), "some-pipeline/rapl-sysfs/AbsPower/BPFOnly"
    files[f"{place}/{LINEAR}_0.json"] = b"{"
    files[f"{place}/{LINEAR}_9.json"] = files[f"{place}/{LINEAR}_3.json"]
    files[f"some-pipeline/sun/AbsPower/BPFOnly/{LINEAR}_3.json"] = b"{}"
    files[f"some-pipeline/acpi/Power/BPFOnly/{LINEAR}_3.json"] = b"{}"
    done = import_models(ModelStore(InMemoryStore()), str(write(tmp_path, files)))
    assert len(done.models) == 4
    reasons = {
        refusal.path.removeprefix("some-pipeline/"): refusal.reason for refusal in done.refused
    }
    assert "no weights" in reasons[f"rapl-sysfs/AbsPower/BPFOnly/{LINEAR}_0.json"]
    assert "node type 9" in reasons[f"rapl-sysfs/AbsPower/BPFOnly/{LINEAR}_9.json"]
    assert "'sun'" in reasons[f"sun/AbsPower/BPFOnly/{LINEAR}_3.json"]
    assert "'Power'" in reasons[f"acpi/Power/BPFOnly/{LINEAR}_3.json"]


@pytest.mark.parametrize("number", ["NaN", "-5", "1e999", '"many"'])
def test_a_machine_that_is_none_is_refused(tmp_path: Path, number: str) -> None:
    files = pipeline()
    name = "some-pipeline/node_type_index.json"
    files[name] = files[name].replace(b'"cores": 8.0', f'"cores": {number}'.encode())
    only = {path: data for path, data in files.items() if not path.endswith("_3.json")}
    write(tmp_path, only)
    with pytest.raises(MisuseError, match=r"node_type_index|cores is"):
        import_models(ModelStore(InMemoryStore()), str(tmp_path))


def test_what_has_no_weights_says_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({}))
    with pytest.raises(MisuseError, match=r"node_type_index\.json is needed"):
        import_models(ModelStore(InMemoryStore()), str(tmp_path))


def test_models_come_from_a_url() -> None:
    models = ModelStore(InMemoryStore())
    with served(zipped(pipeline(""))) as url:
        done = import_models(models, f"{url}/v0.7/some-pipeline.zip")
    assert len(done.models) == 5
    assert all(".imported-some-pipeline_" in slug for slug in done.models)


def test_a_url_that_moved_is_followed_but_not_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(pipeline()))
    models = ModelStore(InMemoryStore())
    with served(zipped(pipeline())) as there, served(b"", 404, f"{there}/b.zip") as url:
        assert len(import_models(models, f"{url}/moved.zip").models) == 5
    with (
        served(b"", 404, f"file://{tmp_path}/a.zip") as url,
        pytest.raises(SourceUnavailableError),
    ):
        import_models(models, f"{url}/moved.zip")


def test_a_download_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(bytes(2000)) as url:
        with pytest.raises(DamagedError, match="more than 1000 bytes"):
            download.download(url, 1000)
        ticks = iter([0.0, 100.0, 200.0])
        with pytest.raises(SourceUnavailableError, match="not read whole within 60 s"):
            download.download(url, 10_000, clock=lambda: next(ticks))


def test_what_cannot_be_had_at_the_start_is_said_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = ModelStore(InMemoryStore())
    folder = write(tmp_path / "some", pipeline())
    with served(b"", 503) as url:
        locations = [f"{url}/a.zip", str(tmp_path / "gone"), "gopher://a", str(folder)]
        import_at_start(models, locations)
    assert len(models.indexes()) == 5
    assert "a.zip answers 503" in caplog.text
    assert "gone: No such file" in caplog.text
    assert "gopher" in caplog.text


def test_all_that_is_published_is_read() -> None:
    if not PUBLISHED.is_dir():
        pytest.skip("needs ../shared/data/kepler-model-db")
    models = ModelStore(InMemoryStore())
    done = import_models(models, str(PUBLISHED))
    weights: list[Path] = list(PUBLISHED.rglob("*Trainer_*.json"))
    assert len(done.models) == len(weights)
    assert done.refused == []
    assert len(catalog_of(models).entries) == len(weights)
