from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import RequestError
from server.kepler.model_request import decode_model_request
from tests.server.fakes import XEON

# As captured from Kepler 0.9.0.
KEPLER = (
    b'{"metrics":["cpu_cycles","cpu_instructions","cache_miss","cpu_ref_cycles","bpf_cpu_time_ms",'
    b'"bpf_net_tx_irq","bpf_net_rx_irq","bpf_block_irq","bpf_page_cache_hit","cpu_architecture"],'
    b'"output_type":"AbsPower","source":"acpi","node_type":0,"weight":true,'
    b'"trainer_name":"SGDRegressorTrainer","filter":"","machine_spec":{"vendor":"intel",'
    b'"processor":"intel_xeon_gold_6130","cores":64,"chips":2,"memory":188,"frequency":2100,'
    b'"threads_per_core":2}}'
)


def test_what_kepler_sends() -> None:
    query = decode_model_request(KEPLER).query()
    assert len(query.metrics) == 10
    assert query.metrics[-1] == "cpu_architecture"
    assert (query.output_type, query.source, query.weight) == ("AbsPower", "acpi", True)
    assert (query.trainer_name, query.filter, query.loose) == ("SGDRegressorTrainer", "", True)
    # Kepler's 0 with a machine spec means that it does not know its node type.
    assert query.node_type == -1
    assert query.machine == XEON


def _query(**more: Any) -> Any:
    body = {"metrics": ["bpf_cpu_time_ms"], "output_type": "AbsPower", **more}
    return decode_model_request(json.dumps(body).encode()).query()


def test_what_is_left_out_has_kepler_model_servers_defaults() -> None:
    query = _query()
    assert (query.node_type, query.machine, query.weight, query.loose) == (-1, None, False, True)
    assert (query.trainer_name, query.filter) == ("", "")


def test_null_is_as_if_left_out() -> None:
    keys = ("source", "node_type", "weight", "trainer_name", "filter", "machine_spec")
    assert _query(**dict.fromkeys(keys), loose_node_type=None) == _query()


def test_unknown_keys_are_ignored_in_the_body_and_in_the_machine_spec() -> None:
    query = _query(color="blue", machine_spec={"cores": 8, "color": [1]}, pipeline_name="../etc")
    assert query.machine.cores == 8


@pytest.mark.parametrize(("given", "meant"), [(0, 0), (1, 1), (-1, -1), (999, 999)])
def test_a_node_type_without_a_machine_spec_stays(given: int, meant: int) -> None:
    assert _query(node_type=given).node_type == meant
    assert _query(node_type=given, machine_spec={}).node_type == meant


def test_a_node_type_other_than_0_goes_before_the_machine_spec() -> None:
    assert _query(node_type=3, machine_spec={"cores": 8}).node_type == 3


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", ["body is empty"]),
        (b"   ", ["body is"]),
        (b"{", ["body is {"]),
        (b"<html>", ["body is <html>"]),
        (b"\xff\xfe", ["body is"]),
        (b'{"metrics":["\xff"],"output_type":"AbsPower"}', ["body is"]),
        (b"[]", ["body is []", "object"]),
        (b'"x"', ['body is "x"', "object"]),
        (b"null", ["body is null", "object"]),
        (b"{}", ["metrics is missing"]),
        (b'{"metrics":[]}', ["output_type is missing"]),
        (b'{"metrics":null,"output_type":"AbsPower"}', ["metrics is null"]),
        (b'{"metrics":"a","output_type":"AbsPower"}', ['metrics is "a"']),
        (b'{"metrics":["a",3],"output_type":"AbsPower"}', ['metrics is ["a",3]', "metrics[1]"]),
        (b'{"metrics":[],"output_type":7}', ["output_type is 7"]),
        (b'{"metrics":[],"output_type":"AbsPower","source":5}', ["source is 5"]),
        (b'{"metrics":[],"output_type":"AbsPower","weight":"false"}', ['weight is "false"']),
        (b'{"metrics":[],"output_type":"AbsPower","node_type":"abc"}', ['node_type is "abc"']),
        (b'{"metrics":[],"output_type":"AbsPower","node_type":-2}', ["node_type is -2", ">= -1"]),
        (b'{"metrics":[],"output_type":"AbsPower","node_type":1.5}', ["node_type is 1.5"]),
        (b'{"metrics":[],"output_type":"AbsPower","machine_spec":[]}', ["machine_spec is []"]),
        (
            b'{"metrics":[],"output_type":"AbsPower","machine_spec":{"cores":"x"}}',
            ['machine_spec is {"cores":"x"}', "machine_spec.cores"],
        ),
        (
            b'{"metrics":[],"output_type":"AbsPower","machine_spec":{"cores":-1}}',
            ["machine_spec.cores"],
        ),
        (b'{"zz":' + b"[" * 500_000, ["body is nested too deep"]),
        (b'{"metrics":' + b'"a' * 10 + b"}" + b" " * 100_000, ["body is"]),
    ],
)
def test_what_cannot_be_read_is_named(body: bytes, named: list[str]) -> None:
    with pytest.raises(RequestError) as raised:
        decode_model_request(body)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert len(sentence) < 400
    for one in named:
        assert one in sentence


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.sampled_from(
    ["metrics", "output_type", "source", "node_type", "weight", "filter", "machine_spec"]
)


@given(st.dictionaries(KEYS | st.text(), JSON, max_size=10).map(msgspec.json.encode) | st.binary())
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        query = decode_model_request(body).query()
    except RequestError:
        return
    assert query.node_type >= -1
    assert isinstance(query.metrics, tuple)
