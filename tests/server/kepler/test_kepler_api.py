from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import RequestError
from server.web.body import BODY_LIMIT
from tests.server.conftest import Serve, Served, make_served
from tests.server.error_shape import assert_error
from tests.server.fakes import XEON, make_entry
from tests.server.kepler.test_model_request import KEPLER

BODY = {
    "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
    "output_type": "AbsPower",
    "source": "intel_rapl",
    "weight": True,
    "trainer_name": "SGDRegressorTrainer",
    "filter": "",
    "node_type": 0,
}


def _post(client: Served, **more: Any) -> Any:
    return client.post("/model", json={**BODY, **more})


def test_weights_are_in_keplers_format(serve: Serve) -> None:
    response = _post(serve(make_entry(number=2)))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert answer["model_name"] == "SGDRegressorTrainer_2"
    assert answer["machine_spec"]["cores"] == 64
    # Go refuses 64.0 for an integer.
    assert '"cores":64,' in response.text
    weights = answer["package"]["All_Weights"]
    assert weights["Bias_Weight"] == 10.0
    assert weights["Categorical_Variables"] == {}
    assert weights["Numerical_Variables"]["bpf_cpu_time_ms"] == {"scale": 100.0, "weight": 2.0}
    assert "CurveFit_Weights" not in response.text
    assert "platform" not in answer


def test_what_kepler_itself_sends_is_answered(serve: Serve) -> None:
    client = serve(make_entry())
    assert client.post("/model", content=KEPLER).status_code == 200
    assert client.catalog.queries[0].node_type == -1
    assert client.catalog.queries[0].machine == XEON


@pytest.mark.parametrize("weight", [True, False])
def test_headers_say_which_model_why_and_how_sure(serve: Serve, weight: bool) -> None:
    headers = _post(serve(make_entry(mae=1.5)), weight=weight).headers
    assert headers["wattstream-model"] == make_entry().manifest.key.slug
    assert headers["wattstream-chosen-by"] == "transfer error, 1.50 W"
    assert float(headers["wattstream-uncertainty"]) == 0.25
    assert float(headers["wattstream-looseness"]) == 0.0


def test_the_content_type_does_not_matter(serve: Serve) -> None:
    client = serve(make_entry())
    for kind in ("application/json; charset=UTF-8", "text/plain", ""):
        response = client.post("/model", content=KEPLER, headers={"content-type": kind})
        assert response.status_code == 200


def test_without_weight_the_archive_comes(serve: Serve) -> None:
    entry = make_entry()
    response = _post(serve(entry), weight=False)
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["etag"] == f'"{entry.digest}"'
    assert response.headers["content-location"] == f"/artifacts/{entry.digest}"
    name = f'attachment; filename="{entry.manifest.key.slug}.zip"'
    assert response.headers["content-disposition"] == name
    assert response.content == b"PK the bytes of " + entry.digest.encode()


@pytest.mark.parametrize("weight", [True, False])
def test_who_has_it_already_is_told_so(serve: Serve, weight: bool) -> None:
    client = serve(make_entry())
    tag = _post(client, weight=weight).headers["etag"]
    client.models.reads.clear()
    body = {**BODY, "weight": weight}
    again = client.post("/model", json=body, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.models.reads == []


def test_the_same_question_is_worked_out_once_and_again_when_models_change(serve: Serve) -> None:
    client = serve(make_entry())
    first = _post(client)
    assert _post(client).content == first.content
    assert len(client.catalog.queries) == 1
    client.catalog.entries = (make_entry(samples=1001, number=7),)
    assert _post(client).json()["model_name"] == "SGDRegressorTrainer_7"
    assert len(client.catalog.queries) == 2


def test_nothing_that_fits_is_400_as_kepler_model_server_has_it(serve: Serve) -> None:
    client = serve(make_entry())
    assert_error(_post(client, metrics=["no_such_metric"]), 400, "no_such_metric")
    assert_error(_post(client, metrics=[]), 400)
    assert_error(_post(serve(), **BODY), 400)


def test_a_refusal_is_not_remembered(serve: Serve) -> None:
    client = serve()
    assert _post(client).status_code == 400
    client.catalog.entries = (make_entry(),)
    assert _post(client).status_code == 200


def test_what_the_catalog_does_not_understand_is_400(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RequestError("filter has 'mae': attribute:threshold is needed")

    client = serve(make_entry())
    monkeypatch.setattr(client.catalog, "choose", refuse)
    assert_error(_post(client), 400, "filter has 'mae'")


def test_a_body_that_makes_no_sense_is_400(serve: Serve) -> None:
    client = serve(make_entry())
    for body in (b"", b"{", b"[]", b'{"metrics":3}', b"\xff"):
        assert_error(client.post("/model", content=body), 400)


def test_a_body_beyond_the_limit_is_413_announced_or_not(serve: Serve) -> None:
    client = serve(make_entry())
    padded = json.dumps({**BODY, "padding": "x" * BODY_LIMIT}).encode()
    response = client.post("/model", content=padded)
    assert_error(response, 413, f"{BODY_LIMIT}")
    assert response.headers["connection"] == "close"
    assert_error(client.post("/model", content=iter([padded[:100], padded[100:]])), 413)


def test_a_long_body_within_the_limit_is_answered(serve: Serve) -> None:
    metrics = BODY["metrics"] + [f"metric_{i}" for i in range(50_000)]  # type: ignore[operator]
    assert _post(serve(make_entry()), metrics=metrics).status_code == 200


def test_chunks_are_put_together(serve: Serve) -> None:
    body = json.dumps(BODY).encode()
    response = serve(make_entry()).post("/model", content=iter([body[:40], body[40:41], body[41:]]))
    assert response.status_code == 200


SOME = st.dictionaries(
    st.sampled_from(sorted(BODY)),
    st.none() | st.integers() | st.text() | st.booleans() | st.lists(st.text(), max_size=3),
)


@settings(max_examples=50)
@given(more=SOME)
def test_any_body_gets_2xx_or_4xx(more: dict[str, Any]) -> None:
    with make_served(make_entry()) as client:
        response = client.post("/model", json={**BODY, **more})
    assert response.status_code in (200, 400)
