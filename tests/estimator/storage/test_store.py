from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from estimator.errors import MisuseError, StoreError
from estimator.storage.store import FolderStore, InMemoryStore, Store, open_store
from tests.estimator.store_contract import StoreContract

COUNTING = """
import sys
from estimator.errors import ConflictError
from estimator.storage.store import open_store
store, times = open_store(sys.argv[1]), int(sys.argv[2])
while times:
    stored = store.get("count")
    try:
        store.swap("count", b"%d" % (int(stored.data) + 1), stored.tag)
        times -= 1
    except ConflictError:
        pass
"""


class TestInMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store("memory:")

    def test_every_one_is_a_new_one(self, store: Store) -> None:
        store.put("a", b"")
        assert open_store("memory:").list("") == []


class TestFolderStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"file://{tmp_path}/made/on%20the%20way")

    def test_another_process_would_find_it(self, store: Store, tmp_path: Path) -> None:
        tag = store.put("a/b", b"one")
        assert (tmp_path / "made" / "on the way" / "a" / "b").read_bytes() == b"one"
        other = FolderStore(tmp_path / "made" / "on the way")
        assert other.swap("a/b", b"two", tag) != tag
        assert store.get("a/b").data == b"two"

    def test_what_a_crashed_writer_left_is_not_listed(self, store: Store, tmp_path: Path) -> None:
        store.put("a", b"")
        (tmp_path / "made" / "on the way" / "a#1").write_bytes(b"half")
        (tmp_path / "made" / "on the way" / ".a.swp").write_bytes(b"half")
        assert store.list("") == ["a"]

    def test_what_is_in_the_way_is_named_with_the_folder(
        self, store: Store, tmp_path: Path
    ) -> None:
        store.put("a", b"")
        with pytest.raises(StoreError, match=r"^a/b: .*Not a directory.* in folder /.*way$") as why:
            store.put("a/b", b"")
        assert "\n" not in str(why.value)

    def test_a_folder_that_was_taken_away_is_an_outage(self, store: Store, tmp_path: Path) -> None:
        store.put("a", b"")
        shutil.rmtree(tmp_path / "made")
        for attempt in (
            lambda: store.get("a"),
            lambda: store.list(""),
            lambda: store.put("a", b""),
            lambda: store.delete("a"),
        ):
            with pytest.raises(StoreError, match="made/on the way") as caught:
                attempt()
            assert caught.type is StoreError

    @pytest.mark.slow
    def test_two_processes_never_both_win(self, tmp_path: Path) -> None:
        url = f"file://{tmp_path}"
        store = open_store(url)
        store.put("count", b"0")
        command = [sys.executable, "-c", COUNTING, url, "150"]
        running = [subprocess.Popen(command) for _ in range(3)]
        assert [process.wait(60) for process in running] == [0, 0, 0]
        assert store.get("count").data == b"450"

    def test_the_lock_ends_with_its_holder(self, tmp_path: Path) -> None:
        store = open_store(f"file://{tmp_path}")
        holding = (
            "import fcntl, os, signal, sys\n"
            "fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        subprocess.run([sys.executable, "-c", holding, str(tmp_path / ".lock")], check=False)
        store.put("a", b"")
        assert store.list("") == ["a"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for url in (f"file://{tmp_path}/file", f"file://{tmp_path}/file/below"):
        with pytest.raises(StoreError, match=f"the folder {tmp_path}/file.* cannot be used"):
            open_store(url)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    store.put("a", b"one")
    tmp_path.chmod(0o555)
    (tmp_path / ".lock").unlink(missing_ok=True)
    try:
        with pytest.raises(StoreError, match=f"in folder {tmp_path}"):
            store.put("b", b"")
        assert open_store(f"file://{tmp_path}").get("a").data == b"one"
    finally:
        tmp_path.chmod(0o755)


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("file:relative/folder").put("a", b"1")
    assert open_store(f"file://{tmp_path}/relative/folder").get("a").data == b"1"
    assert open_store(f"file:{tmp_path}/relative/folder").get("a").data == b"1"
    assert open_store(f"file://localhost{tmp_path}/relative/folder").get("a").data == b"1"
    assert isinstance(open_store("memory:"), InMemoryStore)


@pytest.mark.parametrize(
    "url", ["", "file", "file:", "file://", "/a/folder", "s4://bucket/x", "file://host/x", "memory"]
)
def test_other_urls_are_misuse(url: str) -> None:
    with pytest.raises(MisuseError, match=f"store is '{url}'"):
        open_store(url)
