"""`docs/configuration.md` says what the table of settings and the commands themselves say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from estimator.settings import Settings, load, table
from server.commands import (
    ask,
    collect,
    estimate,
    evaluate,
    learn,
    models,
    serve,
    topics,
    up,
)
from server.main import run

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = (DOCS / "configuration.md").read_text(encoding="utf-8")
COMMANDS: Final[Sequence[ModuleType]] = (
    *(up, collect, learn, serve, estimate, evaluate),
    *(ask, models, topics),
)


def settings_table() -> str:
    """The table of settings as the page must show it."""
    rows = ["| setting | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for row in table():
        default = f"`{row.default}`" if row.default else ""
        rows.append(f"| `{row.name}` | `{row.environment}` | {default} | {row.help} |")
    return "\n".join(rows)


def commands_table() -> str:
    """The table of which command heeds which setting, as the page must show it."""
    names = [module.__name__.rsplit(".", 1)[-1] for module in COMMANDS]
    rows = [f"| setting | {' | '.join(names)} |", f"| --- |{' :-: |' * len(names)}"]
    for row in table():
        heeded = [
            "x" if row.name in (*module.SETTINGS, "log_level") else " " for module in COMMANDS
        ]
        rows.append(f"| `{row.name}` | {' | '.join(heeded)} |")
    return "\n".join(rows)


def between(marker: str) -> str:
    """What stands between the begin and the end of a marker."""
    found = re.search(rf"<!-- {marker}: begin -->\n(.*?)\n<!-- {marker}: end -->", PAGE, re.DOTALL)
    assert found is not None, f"configuration.md has no part called {marker}"
    return found[1]


def example() -> str:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def test_the_settings_are_those_of_the_table() -> None:
    assert between("settings") == settings_table()


def test_the_commands_heed_the_settings_that_the_page_says() -> None:
    assert between("commands") == commands_table()


@pytest.mark.parametrize("setting", [row.environment for row in table()])
def test_every_setting_is_named_by_its_environment_variable(setting: str) -> None:
    assert f"`{setting}`" in PAGE


@pytest.mark.parametrize("command", [module.__name__.rsplit(".", 1)[-1] for module in COMMANDS])
def test_every_flag_of_every_command_is_named(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert flags
    settings = {f"--{row.name.replace('_', '-')}" for row in table()}
    missing = {flag for flag in flags - settings if f"`{flag}" not in PAGE}
    assert not missing


def test_the_example_file_loads_and_names_every_setting(tmp_path: Path) -> None:
    config = tmp_path / "wattstream.toml"
    config.write_text(example(), encoding="utf-8")
    settings = load({}, {}, config)
    given = tomllib.loads(example())
    assert set(given) == set(Settings.__struct_fields__)
    assert settings.socket == tuple(given["socket"])
    assert settings.interval == given["interval"]


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "wattstream.toml"
    config.write_text(example(), encoding="utf-8")
    environment = {"WATTSTREAM_NODE": "by-environment", "WATTSTREAM_INTERVAL": "7"}
    settings = load({"node": "by-flag"}, environment, config)
    assert (settings.node, settings.interval) == ("by-flag", 7.0)
    assert settings.listen == tomllib.loads(example())["listen"]
