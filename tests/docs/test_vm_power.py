"""The page on virtual machines names the series, commands and files that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from estimator.export.families import ALL, MODEL, OWN

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "vm-power.md").read_text(encoding="utf-8")
_ROW: Final = re.compile(
    r"^\| `([a-z_]+)` \| (gauge|counter) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE
)


def test_the_table_has_every_series_with_its_type_and_meaning() -> None:
    rows = {name: (kind, text) for name, kind, _, text in _ROW.findall(PAGE)}
    assert rows == {name: tuple(series) for name, series in {**MODEL, **OWN}.items()}


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("kepler_")])
def test_kepler_s_names_are_on_the_page(name: str) -> None:
    level = re.match(r"kepler_(process|container|pod|vm)_cpu_", name)
    assert (level[0] if level else re.sub(r"_(active|idle)_", "_", name)) in PAGE


def test_files_and_benches_of_the_checklist_are_there() -> None:
    files = re.findall(r"(?:tests|estimator)/[\w/]+\.py", PAGE)
    modules = re.findall(r"python -m (tests\.bench\.\w+)", PAGE)
    assert files
    assert modules
    paths = [*files, *(f"{module.replace('.', '/')}.py" for module in modules)]
    assert [path for path in paths if not (ROOT / path).is_file()] == []
