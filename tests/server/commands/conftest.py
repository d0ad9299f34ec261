from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.commands.inside import Run, runner


@pytest.fixture
def wattstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command in an empty folder."""
    return runner(tmp_path, monkeypatch, capsys)
