"""The comparison names commands, flags, settings and routes that there are, and our own figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from estimator.settings import load, table
from estimator.vocabulary import FEATURE_GROUPS, HORIZONS
from server import openapi
from server.main import run
from server.training import openapi as trainer_openapi
from stream.sources.simulation.events import Event
from tests.bench.bench_quality import learned, samples_of
from tests.bench.machines import MACHINES

PAGE: Final = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text(encoding="utf-8")
MIGRATION: Final = PAGE.partition("## Coming from kepler-model-server")[2]
FEATURES: Final = FEATURE_GROUPS["Basic"]
COLUMNS: Final = {
    "two-socket": ("two-socket", ()),
    "+15 W": ("two-socket", (Event("firmware", 4500.0, 15.0),)),
    "desktop": ("desktop", ()),
}
_FLAG: Final = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def ours() -> list[str]:
    """What the migration's second column has as code."""
    rows = [line.split(" | ", 1)[1] for line in MIGRATION.splitlines() if line.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([*command.split(), "--help"]) == 0
    return capsys.readouterr().out


def test_commands_take_the_flags_that_the_page_gives_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [code.removeprefix("wattstream ") for code in ours() if code.startswith("wattstream ")]
    assert len(found) > 12
    for words in found:
        command = re.split(r" -| [A-Z]", words)[0]
        shown = set(_FLAG.findall(help_of(command, capsys)))
        assert set(_FLAG.findall(words)) <= shown, words


def test_settings_that_the_page_names_are_settings() -> None:
    named = set(re.findall(r"WATTSTREAM_[A-Z_]+", PAGE))
    assert len(named) > 4
    assert named <= {row.environment for row in table()}


def test_variables_of_the_other_that_are_read_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "`PROM_SERVER` is read" in PAGE
    assert "PROM_SERVER" in help_of("query", capsys)
    settings = load({}, {"INITIAL_PIPELINE_URL": "pipeline.zip"})
    assert settings.initial_pipeline_url == ("pipeline.zip",)


def test_routes_that_the_page_names_are_served() -> None:
    served = [*openapi.description()["paths"], *trainer_openapi.description()["paths"]]
    named = set(re.findall(r"`(?:GET|POST) (/[a-z/-]+)`", PAGE))
    assert named == {"/model", "/best-models", "/train"}
    assert named <= set(served)


def rows(begin: str) -> Iterator[tuple[str, float]]:
    """The columns of the row of simulated machines that begins so, with watts."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {begin}"))
    cells = re.findall(r"\| \**([\d.]+)\** \(", line)
    return zip(COLUMNS, map(float, cells), strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
def test_our_own_figures_are_what_is_measured(column: str) -> None:
    machine, events = COLUMNS[column]
    source = next(one for one in MACHINES if one.name == machine).source(7200, 101, events=events)
    samples = samples_of(source, FEATURES)
    half = len(samples.rounds) // 2
    package = np.array([one.watts[0, 0] for one in samples.rounds])[half:]
    _, said = learned(samples, FEATURES)
    following = np.abs(said[half:, 0] - package).mean()
    assert following == pytest.approx(dict(rows("*next sample:*"))[column], rel=0.05)
    model, _ = learned(samples._replace(rounds=samples.rounds[:half]), FEATURES)
    assert model.current is not None
    asked = np.concatenate([one.rows for one in samples.rounds[half:]])
    stopped = model.current.predict_many(asked, len(HORIZONS) - 1)[:, 0]
    wrong = np.abs(stopped - package).mean()
    assert wrong == pytest.approx(dict(rows("*first half only:*"))[column], rel=0.05)
