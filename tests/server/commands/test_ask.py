from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from estimator.kepler_socket.answering import Answerer
from estimator.kepler_socket.client import ask
from estimator.kepler_socket.socket_server import EstimatorServer
from tests.estimator.served import MACHINE, Shelf, plain_entry, power_request
from tests.server.commands.inside import Run


def answering(path: Path) -> Path:
    """The path, once the estimator in its thread has said all it says when it begins."""
    ask(path, power_request([[1.0]]))
    return path


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """An estimator of a model with 10 W idle, and 1 W for each 64 ms/s, in ``package``."""
    shelf = Shelf(plain_entry(), plain_entry("acpi"))
    with EstimatorServer(Answerer(shelf, MACHINE), [tmp_path / "s"]) as server:
        yield answering(server.paths[0])


def test_the_answer_is_lines_of_components_and_watts(wattstream: Run, socket: Path) -> None:
    found = wattstream("ask", "bpf_cpu_time_ms=640", "--socket", socket)
    assert found == (
        0,
        "component\tW\npackage\t20.00\ncore\t40.00\nuncore\t60.00\ndram\t80.00\n",
        "",
    )


def test_json_is_the_answer_as_it_came(wattstream: Run, socket: Path) -> None:
    words = ("ask", "bpf_cpu_time_ms=640", "unused=1e3", "--socket", socket, "--json")
    found = wattstream(*words, "--energy-source", "acpi", "--output-type", "DynPower")
    assert (found.status, found.err) == (0, "")
    assert json.loads(found.out) == {"powers": {"platform": [10]}, "msg": "", "core_ratio": 1}


def test_no_model_is_a_failure_that_says_what_there_is(wattstream: Run, socket: Path) -> None:
    words = ("ask", "cpu_cycles=5", "--socket", socket)
    found = wattstream(*words)
    assert found.status == 1
    assert "no model" in found.complaint
    found = wattstream(*words, "--json")
    assert (found.status, found.err) == (1, "")
    answer = json.loads(found.out)
    assert "no model" in answer["msg"]
    assert [len(watts) for watts in answer["powers"].values()] == [1] * len(answer["powers"])


def test_an_imported_model_answers_and_is_said_to(wattstream: Run, tmp_path: Path) -> None:
    plain = plain_entry()
    key = msgspec.structs.replace(plain.manifest.key, imported="ec2/SGD")
    manifest = msgspec.structs.replace(plain.manifest, key=key)
    imported = msgspec.structs.replace(plain, manifest=manifest)
    with EstimatorServer(Answerer(Shelf(imported), MACHINE), [tmp_path / "s"]) as server:
        words = ("ask", "bpf_cpu_time_ms=640", "--socket", answering(server.paths[0]))
        found = wattstream(*words)
        assert (found.status, found.out.splitlines()[1]) == (0, "package\t20.00")
        assert "imported ec2/SGD" in found.err
        assert wattstream(*words, "--json").status == 0


def test_a_rate_below_zero_is_misuse(wattstream: Run, socket: Path) -> None:
    found = wattstream("ask", "cpu=-640", "--socket", socket)
    assert (found.status, found.complaint) == (2, "'cpu=-640': no rate is below 0")


@pytest.mark.parametrize("word", ["cpu", "cpu=", "cpu=many", "cpu=nan", "cpu=inf", "=5", "="])
def test_what_is_no_rate_is_misuse(wattstream: Run, word: str) -> None:
    found = wattstream("ask", word)
    assert (found.status, found.complaint) == (2, f"{word!r} is not of the form feature=rate")


def test_there_must_be_time_and_a_socket(wattstream: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wattstream("ask", "cpu=1", "--timeout", "-1").status == 2
    monkeypatch.setenv("WATTSTREAM_SOCKET", "")
    found = wattstream("ask", "cpu=1")
    assert (found.status, found.complaint) == (2, "socket: no path is given")


def test_a_file_that_is_no_socket(wattstream: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = wattstream("ask", "cpu=1", "--socket", tmp_path / "file")
    assert found.status == 1
    assert "nobody listens" in found.complaint
