"""`docs/configuration.md` says what the table of settings and the commands themselves say.

``python -m tests.docs.test_configuration`` writes the page's generated parts anew.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from estimator.settings import Settings, load, table
from server.commands import application

FILE: Final = Path(__file__).parents[2] / "docs" / "configuration.md"
PAGE: Final = FILE.read_text(encoding="utf-8")
COMMANDS: Final = [import_module(f"server.commands.{name}") for name in application.COMMANDS]
NAMES: Final = application.COMMANDS


def settings_table() -> str:
    """The table of settings as the page must show it."""
    rows = ["| setting | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for row in table():
        default = f"`{row.default}`" if row.default else ""
        rows.append(f"| `{row.name}` | `{row.environment}` | {default} | {row.help} |")
    return "\n".join(rows)


def commands_table() -> str:
    """The table of which command heeds which setting, as the page must show it."""
    rows = [f"| setting | {' | '.join(NAMES)} |", f"| --- |{' :-: |' * len(NAMES)}"]
    for row in table():
        heeded = [
            "x" if row.name in (*module.SETTINGS, "log_level") else " " for module in COMMANDS
        ]
        rows.append(f"| `{row.name}` | {' | '.join(heeded)} |")
    return "\n".join(rows)


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "settings": settings_table,
    "commands": commands_table,
}


def found_in(page: str, marker: str) -> re.Match[str]:
    """What stands between the begin and the end of a marker, as group 1."""
    found = re.search(rf"<!-- {marker}: begin -->\n(.*?)\n<!-- {marker}: end -->", page, re.DOTALL)
    assert found is not None, f"configuration.md has no part called {marker}"
    return found


def example() -> str:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def write() -> None:
    """Write the generated parts of the page anew."""
    page = PAGE
    for marker, render in GENERATED.items():
        found = found_in(page, marker)
        page = page[: found.start(1)] + render() + page[found.end(1) :]
    FILE.write_text(page, encoding="utf-8")


@pytest.mark.parametrize("marker", GENERATED)
def test_the_generated_parts_are_up_to_date(marker: str) -> None:
    assert found_in(PAGE, marker)[1] == GENERATED[marker]()


@pytest.mark.parametrize("setting", [row.environment for row in table()])
def test_every_setting_is_named_by_its_environment_variable(setting: str) -> None:
    assert f"`{setting}`" in PAGE


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


if __name__ == "__main__":
    write()
