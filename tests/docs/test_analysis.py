"""Every command of the investigation in `docs/analysis.md` is run, against a real Prometheus."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import Final

import pytest

from server.commands.plot import KINDS
from stream.sources.simulated import SimulatedSource
from tests.prometheus.server import PrometheusServer, fill, needed
from tests.server.commands.inside import Run, runner

PAGE: Final = Path(__file__).parents[2] / "docs" / "analysis.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
_PROMPT: Final = "$ .venv/bin/wattstream "


def blocks() -> list[str]:
    return re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks() for line in block.splitlines()]
    return [shlex.split(line.removeprefix(_PROMPT)) for line in lines if line.startswith(_PROMPT)]


@pytest.fixture
def wattstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


@pytest.mark.slow
def test_the_investigation(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed()
    folder = tmp_path / "prometheus"
    source = SimulatedSource(interval_seconds=1.0, start=time.time() - 1800, speed=0)
    fill(folder, source, 3)
    with PrometheusServer(folder) as server:
        monkeypatch.setenv("PROM_SERVER", server.url)
        said: dict[str, str] = {}
        for words in commands():
            found = wattstream(*words)
            assert found.status == 0, (words, found.err)
            said[" ".join(words)] = found.out
    # What the page says of them is what they say: of the level, and of the errors by age.
    before, after = (
        float(out.splitlines()[1].split("\t")[3])
        for words, out in said.items()
        if words.startswith("isolate ")
    )
    assert after > before + 15
    (errors,) = (
        out.splitlines()[1].split("\t") for w, out in said.items() if w.startswith("evaluate")
    )
    assert float(errors[1]) < float(errors[7]) < float(errors[8])
    for name in ("power", "errors", "features", "models", "shares", "before", "after"):
        assert (tmp_path / f"{name}.png").exists()
    assert (tmp_path / "site-a" / "wattstream" / "README.md").exists()
    assert list((tmp_path / "site-b").rglob("*.json"))


def test_the_page_shows_headings_that_commands_print() -> None:
    assert len(commands()) > 15
    rows = {line for block in blocks() for line in block.splitlines() if "\t" in line}
    assert any(row.startswith("node\tof\tseries\treadings") for row in rows)


def test_every_kind_of_plot_is_named() -> None:
    for kind in KINDS:
        assert f"| `{kind}` |" in TEXT
