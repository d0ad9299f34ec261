"""The pages of `docs/reference`, made from the code.

``python -m tests.docs.reference`` writes them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.docs.reference import artifacts, commands, http, python

FOLDER: Final = Path(__file__).parents[3] / "docs" / "reference"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands.page,
    "http.md": http.page,
    "artifacts.md": artifacts.page,
    "python.md": python.page,
}


def write() -> None:
    """Write all pages anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
