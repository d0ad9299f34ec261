from __future__ import annotations

import msgspec

from tests.server.conftest import Serve
from tests.server.error_shape import assert_error
from tests.server.fakes import make_entry


def _best(serve: Serve, **params: str) -> object:
    entries = [
        make_entry("BPFOnly", mae=3.0, number=1),
        make_entry("BPFOnly", mae=2.0, number=2),
        make_entry("Basic", mae=1.0, number=10),
        make_entry("BPFOnly", source="acpi", mae=9.0, number=1),
        make_entry("BPFOnly", output_type="DynPower", mae=4.0, number=1),
    ]
    given = {name.replace("_", "-"): value for name, value in params.items()}
    response = serve(*entries).get("/best-models", params=given)
    assert response.status_code == 200
    return response.json()


def test_by_default_the_best_of_all_machines_for_rapl(serve: Serve) -> None:
    assert _best(serve) == {
        "AbsPower": {"BPFOnly": "Wattstream_2", "Basic": "Wattstream_10"},
        "DynPower": {"BPFOnly": "Wattstream_1"},
    }
    assert _best(serve, energy_source="intel_rapl", node_type="-1") == _best(serve)


def test_where_it_is_known_the_error_on_strangers_decides(serve: Serve) -> None:
    strange = {"transfer": {"mae": 9.0}}
    one, other = make_entry("Basic", mae=1.0, number=1), make_entry("Basic", mae=2.0, number=2)
    found = serve(one, other).get("/best-models").json()["AbsPower"]
    assert found == {"Basic": "Wattstream_1"}
    errors = {name: errors | strange for name, errors in one.manifest.errors.items()}
    manifest = msgspec.structs.replace(one.manifest, errors=errors)
    one = msgspec.structs.replace(one, manifest=manifest)
    found = serve(one, other).get("/best-models").json()["AbsPower"]
    assert found == {"Basic": "Wattstream_2"}


def test_each_parameter_narrows_it(serve: Serve) -> None:
    assert _best(serve, energy_source="acpi", output_type="AbsPower") == {
        "AbsPower": {"BPFOnly": "Wattstream_1"}
    }
    assert _best(serve, feature_group="Basic") == {
        "AbsPower": {"Basic": "Wattstream_10"},
        "DynPower": {},
    }
    # 1 is not 10.
    assert _best(serve, output_type="AbsPower", node_type="1") == {
        "AbsPower": {"BPFOnly": "Wattstream_1"}
    }
    assert _best(serve, output_type="AbsPower", filter="mae:1.5") == {
        "AbsPower": {"Basic": "Wattstream_10"}
    }
    assert _best(serve, output_type="AbsPower", filter="no_such_measure:1") == {"AbsPower": {}}


def test_a_known_source_without_models_is_empty(serve: Serve) -> None:
    assert _best(serve, energy_source="redfish") == {"AbsPower": {}, "DynPower": {}}


def test_models_that_come_later_are_seen(serve: Serve) -> None:
    client = serve()
    assert client.get("/best-models").json() == {"AbsPower": {}, "DynPower": {}}
    client.catalog.entries = (make_entry(number=5),)
    assert client.get("/best-models").json()["AbsPower"] == {"BPFOnly": "Wattstream_5"}


def test_values_that_make_no_sense_are_named(serve: Serve) -> None:
    client = serve(make_entry())
    for name, value in (
        ("energy-source", "windmill"),
        ("output-type", "Foo"),
        ("feature-group", "Everything"),
        ("node-type", "abc"),
        ("node-type", "-2"),
        ("filter", "mae"),
    ):
        assert_error(client.get("/best-models", params={name: value}), 400, name, value)
    assert_error(client.post("/best-models"), 405)
