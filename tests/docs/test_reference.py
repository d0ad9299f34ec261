"""The pages of `docs/reference` say what the code says; ``python -m tests.docs.reference`` does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from estimator.artifacts.artifact import decode
from estimator.settings import table
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.commands import application
from server.main import run
from stream.analysis.feeding import feed_source
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.shard import Shard
from stream.sources.simulated import SimulatedSource
from tests.docs.reference import FOLDER, PAGES, artifacts, commands
from tests.docs.reference.python import PUBLIC

ROOT: Final = Path(__file__).parents[2]
_FLAG: Final = r"--[a-z][a-z-]+"


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def programs(page: Path) -> list[str]:
    found = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [program for program in found if re.search(r"^(from|import) ", program, re.MULTILINE)]


def all_commands() -> list[str]:
    app: Any = application.make()
    return [
        *app.commands,
        *(
            f"{name} {part}"
            for name, command in app.commands.items()
            for part in getattr(command, "commands", {})
        ),
    ]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data folder whose store has models of a simulated node."""
    folder = tmp_path_factory.mktemp("learned")
    shard = Shard(0, pool(("ridge", "neighbours")), lambda *_: None)
    feed_source(SimulatedSource(speed=0, duration_seconds=90.0), shard)
    shard.learner.flush()
    Publisher(ModelStore(open_store(f"file:{folder}/wattstream-data/store"))).publish(shard)
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_up_to_date(name: str) -> None:
    assert text(name) == PAGES[name](), "python -m tests.docs.reference writes it anew"


def test_there_is_no_other_page() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


@pytest.mark.parametrize("width", ["30", "200"])
def test_neither_the_terminal_nor_the_settings_show(
    width: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        monkeypatch.setenv(name, width)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WATTSTREAM_DATA", str(tmp_path))
    monkeypatch.setenv("PROM_SERVER", "http://elsewhere:9090")
    assert commands.page() == text("commands.md")


@pytest.mark.parametrize("command", all_commands())
def test_every_flag_that_help_shows_is_in_its_part(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    flags = set(re.findall(_FLAG, capsys.readouterr().out)) - {"--help"}
    assert flags
    (part,) = re.findall(
        rf"^##+ `wattstream {command}`$(.*?)(?=^##|\Z)",
        text("commands.md"),
        re.MULTILINE | re.DOTALL,
    )
    assert {flag for flag in flags if f"`{flag}`" not in part} == set()


def test_settings_are_told_apart_from_other_options() -> None:
    settings = {f"--{row.name.replace('_', '-')}" for row in table()} | {"--config"}
    named = re.findall(r"^Settings: (.*)\.$", text("commands.md"), re.MULTILINE)
    assert len(named) == len(all_commands())
    assert {flag for line in named for flag in re.findall(_FLAG, line)} <= settings


def test_pages_import_nothing_but_what_is_public() -> None:
    public = {
        (module, name.partition(".")[0]) for module, names in PUBLIC.items() for name in names
    }
    imported = {
        (module, name.strip(" ()\n,"))
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for program in programs(page)
        for module, names in re.findall(
            r"^from ((?:estimator|stream|server)[\w.]*) import (\([^)]*\)|.*)$",
            program,
            re.MULTILINE,
        )
        for name in names.split(",")
    }
    assert len(imported) > 5
    assert imported <= public


def test_the_program_asks_the_models(learned: Path) -> None:
    (program,) = programs(FOLDER / "python.md")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=learned,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stdout  # of two energy sources
    assert all(".BPFOnly {" in line for line in lines)


def test_the_table_of_arrays_has_those_of_a_default_model(learned: Path) -> None:
    models = ModelStore(open_store(f"file:{learned}/wattstream-data/store"))
    digest = next(iter(models.indexes().values())).current
    artifact = decode(models.artifact_bytes(digest))
    found = set[str]()
    for key, value in artifact.model.state().items():
        if key == "banks":
            for number, bank in enumerate(value):
                found |= {f"banks.{number}.{name}" for name, one in bank.items() if _shape(one)}
        elif _shape(value):
            found.add(key)
    assert found == set(artifacts.arrays())


def _shape(value: object) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))
