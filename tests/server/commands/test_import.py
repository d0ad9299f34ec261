"""``models import``, and what is imported at the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from estimator.settings import load
from tests.estimator.published.made import LINEAR, pipeline
from tests.estimator.published.test_importing import write
from tests.estimator.published.test_pipeline_files import zipped
from tests.server.commands.inside import Run


def test_a_folder_is_imported_and_marked_in_the_list(wattstream: Run, tmp_path: Path) -> None:
    folder = write(tmp_path / "published", pipeline())
    found = wattstream("models", "import", folder)
    assert (found.status, found.err) == (0, "")
    heading, *rows = (row.split("\t") for row in found.out.splitlines())
    assert heading == ["model", "version"]
    assert len(rows) == 5
    listed = [row.split("\t") for row in wattstream("models").out.splitlines()]
    place = listed[0].index("learned until (UTC)")
    marks = {row[place] for row in listed[1:]}
    assert f"imported: some-pipeline/{LINEAR}" in marks
    assert all(mark.startswith("imported: ") for mark in marks)
    again = json.loads(wattstream("models", "import", folder, "--json").out)
    assert (len(again["models"]), again["new"], again["refused"]) == (5, 0, [])


def test_pickles_are_refused_in_one_line(wattstream: Run, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(zipped({"package.pkl": b"\x80"}))
    found = wattstream("models", "import", tmp_path / "model.zip")
    assert found.status == 2
    assert "it holds pickles, and to open a pickle is to run its code" in found.complaint


def test_a_file_that_is_refused_is_named(wattstream: Run, tmp_path: Path) -> None:
    files = {**pipeline(), f"some-pipeline/acpi/AbsPower/BPFOnly/{LINEAR}_3.json": b"{"}
    found = wattstream("models", "import", write(tmp_path / "published", files))
    assert found.status == 0
    assert "acpi/AbsPower/BPFOnly" in found.err
    assert found.err.count("\n") == 1


def test_a_learner_imports_at_its_start_what_the_environment_says(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "published", pipeline())
    monkeypatch.setenv("INITIAL_PIPELINE_URL", f"{tmp_path / 'gone.zip'},{folder}")
    assert wattstream("learn", "--once").status == 0
    assert len(json.loads(wattstream("models", "--json").out)) == 5


def test_our_own_name_for_it_wins() -> None:
    environment = {"INITIAL_PIPELINE_URL": "a, b"}
    assert load({}, environment).initial_pipeline_url == ("a", "b")
    environment["WATTSTREAM_INITIAL_PIPELINE_URL"] = "c"
    assert load({}, environment).initial_pipeline_url == ("c",)
