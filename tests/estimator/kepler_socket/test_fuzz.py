"""Requests made up to break the estimator; ``make fuzz`` tries ten thousand."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estimator.kepler_socket.socket_server import EstimatorServer
from estimator.vocabulary import OUTPUT_TYPES
from tests.estimator.kepler_socket.test_bad_input import made
from tests.estimator.served import power_request
from tests.estimator.socket_clients import ANSWER, GOOD
from tests.made_up import anything, damaged, encoded

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "200"))
PATIENT: Final = 30.0

rates = st.floats(0, 1e5) | st.just(0.0) | anything
features = st.sampled_from(["bpf_cpu_time_ms", "cpu_cycles", ""]) | st.text(max_size=12)
requests = st.fixed_dictionaries(
    {},
    optional={
        "metrics": st.lists(features, max_size=4) | anything,
        "values": st.lists(st.lists(rates, max_size=4) | anything, max_size=6) | anything,
        "output_type": st.sampled_from(OUTPUT_TYPES) | anything,
        "source": st.sampled_from(["rapl-sysfs", "intel_rapl", "acpi"]) | anything,
        "trainer_name": st.sampled_from(["", "Wattstream"]) | anything,
        "filter": st.sampled_from(["", "mae:5", "features:a"]) | anything,
        "system_features": anything,
    },
)
fields = st.sampled_from(list(power_request([])))
near = st.builds(
    lambda field, value: {**power_request([[1024.0], [0.0]]), field: value}, fields, anything
)


inputs = (
    st.binary(max_size=200)
    | st.binary(max_size=200).map(lambda inside: b"{" + inside + b"}")
    | damaged(GOOD)
    | requests.map(encoded)
    | near.map(encoded)
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EstimatorServer]:
    with made(tmp_path_factory.mktemp("fuzz") / "e.sock") as server:
        yield server


def exchanged(path: Path, data: bytes, cuts: list[int]) -> bytes:
    """What comes back for these bytes, written in pieces."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENT)
        connection.connect(str(path))
        edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start, end in itertools.pairwise(edges):
                connection.sendall(data[start:end])
            connection.shutdown(socket.SHUT_WR)
        answer = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(1 << 16):
                answer += piece
        return bytes(answer)


def documents(answer: bytes) -> list[dict[str, Any]]:
    """The JSON objects that were written one after the other; nothing may be left over."""
    found, text = [], answer.decode()
    while text:
        document, end = json.JSONDecoder(parse_constant=pytest.fail).raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def check(answer: dict[str, Any]) -> None:
    assert set(answer) == {"powers", "msg", "core_ratio"}
    assert 0 < answer["core_ratio"] <= 1
    lists = answer["powers"].values()
    assert len({len(watts) for watts in lists}) <= 1
    assert all(math.isfinite(one) and one >= 0 for watts in lists for one in watts)
    assert answer["powers"] or answer["msg"]


@pytest.mark.timeout(3600)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=inputs, cuts=st.lists(st.integers(0, 10_000), max_size=4))
def test_whatever_comes_is_answered_or_hung_up_on(
    server: EstimatorServer, data: bytes, cuts: list[int]
) -> None:
    (path,) = server.paths
    for answer in documents(exchanged(path, data, cuts)):
        check(answer)
    assert exchanged(path, GOOD, cuts) == ANSWER
    assert "internal" not in server.counts.errors


@pytest.mark.timeout(3600)
@settings(max_examples=EXAMPLES, deadline=None)
@given(request=requests.filter(lambda request: isinstance(request.get("values"), list)))
def test_as_many_values_as_rows(server: EstimatorServer, request: dict[str, Any]) -> None:
    (path,) = server.paths
    (answer,) = documents(exchanged(path, encoded(request), []))
    assert answer["powers"]
    assert {len(watts) for watts in answer["powers"].values()} == {len(request["values"])}
