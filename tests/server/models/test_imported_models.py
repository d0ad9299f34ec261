"""Models from elsewhere, as the server shows them: marked, and after those that are learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from estimator.choosing.catalog import Catalog, Entry
from estimator.machine import MachineSpec
from estimator.published.importing import import_models
from estimator.published.published_weights import Place, published_artifact
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from server.app import make_app
from tests.estimator.published.made import CURVES, EXPONENTIAL, LINEAR, curve, line, pipeline
from tests.estimator.published.test_importing import write
from tests.server.conftest import AsgiTransport, Serve
from tests.server.fakes import make_entry

METRICS = ["bpf_cpu_time_ms", "bpf_page_cache_hit"]
MACHINE = MachineSpec(processor="x", cores=8, chips=1, memory=4, frequency=2000)


def imported(trainer: str = LINEAR, number: int = 5) -> Entry:
    document = {"package": line(10, 5) if trainer == LINEAR else curve(CURVES[trainer])}
    place = Place("elsewhere", "rapl-sysfs", "AbsPower", "BPFOnly", trainer, "0")
    made = published_artifact(json.dumps(document).encode(), place, MACHINE)
    return Entry(f"{number}" * 64, made.manifest, made.model, number)


def asked(**changes: object) -> dict[str, Any]:
    return {"metrics": METRICS, "output_type": "AbsPower", "weight": True, **changes}


def test_they_are_listed_with_where_they_are_from(serve: Serve) -> None:
    rows = serve(imported(), make_entry()).get("/models").json()
    assert [row["key"].get("imported") for row in rows] == [f"elsewhere/{LINEAR}", None]
    assert rows[0]["samples"] == 0
    assert rows[0]["errors"] == {}


def test_best_models_name_them_by_their_trainer_and_after_learned_ones(serve: Serve) -> None:
    best = serve(imported(), imported(EXPONENTIAL, 6)).get("/best-models").json()
    assert best["AbsPower"] == {"BPFOnly": f"{LINEAR}_5"}
    best = serve(imported(), make_entry(number=2)).get("/best-models").json()
    assert best["AbsPower"] == {"BPFOnly": "Wattstream_2"}


def test_kepler_is_given_their_weights_line_or_curve(tmp_path: Path) -> None:
    models = ModelStore(InMemoryStore())
    import_models(models, str(write(tmp_path, pipeline())))
    catalog = Catalog(models)
    catalog.refresh()
    app = make_app(catalog, models)
    with httpx.Client(transport=AsgiTransport(app), base_url="http://test") as client:
        spec = {"processor": "x", "cores": 8}
        answer = client.post("/model", json=asked(machine_spec=spec)).json()
        assert answer["model_name"].startswith(f"{LINEAR}_")
        assert answer["machine_spec"]["cores"] == 8
        assert answer["package"]["All_Weights"]["Bias_Weight"] == 10
        for trainer, weights in CURVES.items():
            body = asked(machine_spec=spec, trainer_name=trainer)
            answer = client.post("/model", json=body).json()
            assert answer["model_name"].startswith(f"{trainer}_")
            assert answer["package"]["All_Weights"]["CurveFit_Weights"] == weights


def test_they_have_no_series_of_their_own(serve: Serve) -> None:
    text = serve(imported()).get("/metrics").text
    assert "wattstream_models 1.0" in text
    assert "x-8c-1s-4g-2000m" not in text
