from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer import Abort

from estimator import __version__
from estimator.errors import MisuseError, WattstreamError
from estimator.settings import SECRETS, table
from server.commands import application, topics
from tests.server.commands.inside import Run, runner

COMMANDS = {name: import_module(f"server.commands.{name}") for name in application.COMMANDS}
MAIN = (sys.executable, "-c", "from server.main import main; main()")


@pytest.fixture
def wattstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


def test_the_version(wattstream: Run) -> None:
    assert wattstream("--version") == (0, f"wattstream {__version__}\n", "")
    # Before anything else is looked at.
    assert wattstream("--version", "up", "--nonsense").out == f"wattstream {__version__}\n"


def test_without_arguments_it_says_what_commands_there_are(wattstream: Run) -> None:
    found = wattstream()
    assert found == wattstream("--help")
    assert (found.status, found.err) == (0, "")
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", found.out, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_the_flag_and_the_variable_of_every_setting_heeded(
    wattstream: Run, name: str
) -> None:
    found = wattstream(name, "--help")
    assert (found.status, found.err) == (0, "")
    heeded = {*COMMANDS[name].SETTINGS, "log_level"} - SECRETS
    shown = {row.name for row in table() if f"[{row.environment}]" in found.out}
    assert shown == heeded
    for setting in (*heeded, "config"):
        assert re.search(rf"--{setting.replace('_', '-')}\b", found.out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["--nonsense"], "No such option: --nonsense"),
        (["up", "--nonsense"], "No such option: --nonsense"),
        (["up", "--interval"], "--interval"),
        (["up", "stray"], "stray"),
        (
            ["learn", "--once", "--partitions", "many"],
            "setting 'partitions' in the flags is 'many'",
        ),
        (["learn", "--once", "--partitions", "0"], "setting 'partitions' in the flags is '0'"),
        (
            ["collect", "--source", "nowhere.csv", "--interval", "0"],
            "setting 'interval' in the flags is '0'",
        ),
        (["serve", "--listen", "8100"], "setting 'listen' in the flags is '8100'"),
        (["models", "--data", ""], "setting 'data' in the flags is ''"),
        (["serve", "--listen", "127.0.0.1:65536"], "port is 65536"),
        (["topics", "--log-level", "loud"], "log_level is 'loud'"),
        (["topics", "--log", "redis://here"], "log 'redis://here' is not known"),
        (["models", "--store", "ftp://here"], "store is 'ftp://here'"),
        (["learn", "--once", "--experts", "oracle"], "expert 'oracle' is unknown"),
        (["learn", "--once", "--experts", "ridge,oracle"], "expert 'oracle' is unknown"),
        (["collect", "--source", "sun"], "source 'sun' is unknown"),
        (["collect", "--source", "sim:none"], "source 'sim:none'"),
        (["models", "--config", "nowhere.toml"], "config file nowhere.toml: No such file"),
        (["evaluate"], "trace"),
        (["ask"], "usage"),
    ],
)
def test_misuse_is_one_line_and_status_2(wattstream: Run, words: list[str], said: str) -> None:
    found = wattstream(*words)
    assert said in found.complaint
    assert found.status == 2


def test_an_unknown_key_in_the_file_is_named_with_what_may_be_meant(
    wattstream: Run, tmp_path: Path
) -> None:
    (tmp_path / "here.toml").write_text('dato = "there"\n')
    found = wattstream("models", "--config", "here.toml")
    assert found.status == 2
    assert found.complaint == "setting 'dato' in here.toml is unknown; did you mean 'data'?"


def test_an_unknown_variable_is_named_too(wattstream: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSTREAM_SOKCET", "/tmp/x.sock")
    found = wattstream("models")
    assert found.status == 2
    assert "'sokcet' in the environment is unknown; did you mean 'socket'?" in found.complaint


def test_a_failure_is_one_line_and_status_1(wattstream: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("models", "topics", "learn", "collect", "serve", "up"):
        found = wattstream(name, "--data", "file")
        assert found.status == 1
        assert "file" in found.complaint
    found = wattstream("ask", "bpf_cpu_time_ms=1", "--socket", "nobody.sock")
    assert found.status == 1
    assert "nobody.sock: is not there; is an estimator running?" in found.complaint


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (Abort(), 130, ""),
        (MisuseError("no\nway"), 2, "wattstream: no way\n"),
        (WattstreamError("gone"), 1, "wattstream: gone\n"),
    ],
)
def test_what_a_command_raises_becomes_the_exit_status(
    wattstream: Run,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    status: int,
    said: str,
) -> None:
    def refuse(settings: object) -> int:
        raise raised

    monkeypatch.setattr(topics, "run", refuse)
    # The annotations of `run` are evaluated; this one has nothing to evaluate.
    refuse.__annotations__ = {}
    assert wattstream("topics") == (status, "", said)


def test_a_bug_is_not_dressed_up(wattstream: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(settings):  # type: ignore[no-untyped-def]  # as above
        raise ZeroDivisionError

    monkeypatch.setattr(topics, "run", stumble)
    with pytest.raises(ZeroDivisionError):
        wattstream("topics")


def _environment() -> dict[str, str]:
    """Without what would have the output written at once."""
    skipped = ("WATTSTREAM_", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(skipped)}


@pytest.mark.slow
@pytest.mark.parametrize("words", [["models", "--json"], ["--help"], ["up", "--help"]])
def test_nobody_reads_on_and_nothing_is_said(tmp_path: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # Whoever read has seen enough before a word was written.
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [*MAIN, *words],
            stdout=pipe,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=_environment(),
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.slow
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with full.open("wb") as disk:
        done = subprocess.run(
            [*MAIN, "models", "--json"],
            stdout=disk,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=_environment(),
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"wattstream: No space left on device\n")


def test_the_estimator_loads_neither_pydantic_nor_what_learns(tmp_path: Path) -> None:
    """Flags are read without them, whether given or not."""
    program = (
        "import sys; from server.main import run;"
        f"status = run(['estimate', '--interval', '0', '--data', {str(tmp_path)!r}]);"
        "print(status, sorted({'pydantic', 'river', 'pandas', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "2 []\n"
    assert "'interval' in the flags is '0'" in done.stderr
