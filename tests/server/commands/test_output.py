from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from server.commands.output import print_json, print_table, progress, watts

MAIN = (sys.executable, "-c", "from server.main import main; main()")


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "W"], [["a", "1.5"], ["b", "-"]], "the title is for people")
    assert capsys.readouterr().out == "name\tW\na\t1.5\nb\t-\n"


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": ["line\nbreak"], "b": None})
    assert capsys.readouterr().out == '{"a":["line\\nbreak"],"b":null}\n'


def test_watts_have_two_decimals_or_are_not_known() -> None:
    assert [watts(1.005), watts(None), watts(0.0)] == ["1.00", "-", "0.00"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    print_table(["name", "W"], [["a", "1.5"], ["longer", "-12.25"], ["c", "-"]], "a title")
    lines = [line.rstrip() for line in terminal.getvalue().splitlines()]
    assert lines[0].startswith("a title")
    # Numbers stand right, words left.
    (first,) = (line for line in lines if "1.5" in line)
    (second,) = (line for line in lines if "12.25" in line)
    assert first.index("1.5") + 3 == second.index("12.25") + 5
    assert first.index("a") == second.index("longer")


def test_a_table_without_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    print_table(["name", "W"], [])
    assert "name" in terminal.getvalue()


def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    silent, terminal = io.StringIO(), Terminal()
    monkeypatch.setenv("TERM", "xterm")
    for stream in (silent, terminal):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("learning") as show:
            show(1, 4)
            show(4, 4)
    assert silent.getvalue() == ""
    assert "learning" in terminal.getvalue()


@pytest.mark.slow
def test_a_real_terminal_gets_a_table(tmp_path: Path) -> None:
    main_end, other_end = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WATTSTREAM_")}
    environment |= {"TERM": "xterm", "COLUMNS": "160"}
    try:
        done = subprocess.run(
            [*MAIN, "models"],
            stdout=other_end,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment,
            timeout=60,
            check=True,
        )
        shown = os.read(main_end, 1 << 16).decode()
    finally:
        os.close(main_end)
        os.close(other_end)
    assert "0 models in file:wattstream-data/store" in shown
    assert "\t" not in shown
    assert "┃" in shown or "|" in shown
    assert done.stderr.startswith(b"wattstream: there are no models")
