from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from estimator.kepler_socket.counts import ERROR_KINDS, Counts
from estimator.kepler_socket.exporter import export
from tests.estimator.served import AT_MS, plain_entry

PAGE = Path(__file__).parents[3] / "docs" / "estimator.md"


@pytest.fixture
def text() -> str:
    counts = Counts()
    counts.answered(3, 0.0002, "")
    counts.answered(2, 7.0, "invalid")
    counts.failed("gone")
    counts.connections, counts.open_connections = 5, 1
    counts.refreshes, counts.refresh_failures = 9, 2
    return export(counts, [plain_entry(), plain_entry(source="acpi")], AT_MS / 1000 + 42)


def test_the_numbers(text: str) -> None:
    prefix = "wattstream_estimator_"
    for line in (
        "requests_total 2",
        "rows_total 5",
        "connections_total 5",
        "open_connections 1",
        "refreshes_total 9",
        "refresh_failures_total 2",
        'errors_total{kind="invalid"} 1',
        'errors_total{kind="gone"} 1',
        'errors_total{kind="deadline"} 0',
        'request_duration_seconds_bucket{le="0.0001"} 0',
        'request_duration_seconds_bucket{le="0.00025"} 1',
        'request_duration_seconds_bucket{le="1.0"} 1',
        'request_duration_seconds_bucket{le="+Inf"} 2',
        "request_duration_seconds_sum 7.0002",
        "request_duration_seconds_count 2",
        "models 2",
    ):
        assert f"\n{prefix}{line}\n" in text
    ages = re.findall(r"model_age_seconds\{.*\} (.*)", text)
    assert ages == ["42.0", "42.0"]
    assert 'energy_source="acpi"' in text


def test_labels_are_escaped() -> None:
    entry = plain_entry(source="rapl-sysfs")
    key = type(entry.manifest.key)('a"b\\c\nd', "rapl-sysfs", "AbsPower", "CPUTime")
    manifest = type(entry.manifest)(
        **{
            **{name: getattr(entry.manifest, name) for name in entry.manifest.__struct_fields__},
            "key": key,
        }
    )
    text = export(Counts(), [type(entry)(entry.digest, manifest, entry.model, 0)], 0.0)
    assert r'node_type="a\"b\\c\nd"' in text


def test_without_models_there_are_no_series_of_models() -> None:
    text = export(Counts(), [], 0.0)
    assert "model_age" not in text
    assert "wattstream_estimator_models 0\n" in text


def families(text: str) -> dict[str, tuple[str, str]]:
    """Name to type and help."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    return {
        name: (kinds[name], help_text)
        for name, help_text in re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE)
    }


def test_the_documentation_names_all(text: str) -> None:
    rows = re.findall(
        r"^\| `(wattstream_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE
    )
    assert {name: (kind, meaning) for name, kind, _, meaning in rows} == families(text)
    for name, _, labels, _ in rows:
        found = re.search(rf"^{name}(?:_bucket)?\{{(.*?)\}} ", text, re.MULTILINE)
        inside = re.findall(r'(\w+)="', found[1]) if found else []
        assert re.findall(r"`(\w+)`", labels) == [label for label in inside if label != "le"]


def test_the_documentation_names_every_kind_of_error() -> None:
    page = PAGE.read_text()
    assert [kind for kind in ERROR_KINDS if f"`{kind}`" not in page] == []


def test_promtool_has_nothing_to_say(text: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_prometheus_client_reads_it(text: str) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    read = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert read["wattstream_estimator_request_duration_seconds"].type == "histogram"
    assert len(read) == len(families(text))
