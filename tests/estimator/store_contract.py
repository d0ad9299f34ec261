"""What every store must do: a suite of tests that runs on each implementation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from estimator.errors import ConflictError, NotFoundError, StoreError
from estimator.storage.store import Store, Stored


class StoreContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_what_was_put_is_got_with_its_tag(self, store: Store) -> None:
        tag = store.put("a/b.json", b"one")
        assert store.get("a/b.json") == Stored(b"one", tag)

    def test_putting_again_replaces_and_gives_another_tag(self, store: Store) -> None:
        first = store.put("a", b"one")
        second = store.put("a", b"two")
        assert first != second
        assert store.get("a") == Stored(b"two", second)

    def test_nothing_and_much_can_be_stored(self, store: Store) -> None:
        much = bytes(range(256)) * 4096
        store.put("nothing", b"")
        store.put("much", much)
        assert store.get("nothing").data == b""
        assert store.get("much").data == much

    def test_getting_what_is_not_there_names_it(self, store: Store) -> None:
        store.put("a/b", b"")
        with pytest.raises(NotFoundError, match="a/c"):
            store.get("a/c")
        with pytest.raises(NotFoundError, match=r"^(in/part/)?a: "):
            store.get("a")

    def test_create_makes_once(self, store: Store) -> None:
        tag = store.create("a/b", b"one")
        with pytest.raises(ConflictError, match="a/b"):
            store.create("a/b", b"two")
        assert store.get("a/b") == Stored(b"one", tag)

    def test_swap_replaces_only_what_has_the_tag(self, store: Store) -> None:
        first = store.put("a", b"one")
        second = store.swap("a", b"two", first)
        assert store.get("a") == Stored(b"two", second)
        with pytest.raises(ConflictError, match="a"):
            store.swap("a", b"three", first)
        assert store.get("a").data == b"two"

    def test_swap_without_a_tag_makes_what_is_not_there(self, store: Store) -> None:
        tag = store.swap("a", b"one", None)
        with pytest.raises(ConflictError):
            store.swap("a", b"two", None)
        assert store.get("a") == Stored(b"one", tag)

    def test_swap_with_a_tag_does_not_make_what_is_not_there(self, store: Store) -> None:
        tag = store.put("a", b"one")
        store.delete("a")
        with pytest.raises(ConflictError):
            store.swap("a", b"two", tag)
        with pytest.raises(NotFoundError):
            store.get("a")

    def test_list_has_the_folder_and_below_sorted(self, store: Store) -> None:
        assert store.list("") == []
        for path in ("b/2", "b/1", "b/c/3", "bb/4", "a"):
            store.put(path, b"")
        assert store.list("b") == store.list("b/") == ["b/1", "b/2", "b/c/3"]
        assert store.list("") == ["a", "b/1", "b/2", "b/c/3", "bb/4"]
        assert store.list("d") == []

    def test_delete_removes_and_may_be_repeated(self, store: Store) -> None:
        store.put("a/b", b"")
        store.delete("a/b")
        store.delete("a/b")
        assert store.list("") == []
        store.create("a/b", b"")

    @pytest.mark.parametrize(
        "path", ["", "/a", "a/", "a//b", "../a", "a/../b", ".lock", "a/.b", "a\\b", "a\n", "a#1"]
    )
    def test_paths_that_lead_elsewhere_are_refused(self, store: Store, path: str) -> None:
        with pytest.raises(StoreError, match="path is"):
            store.put(path, b"")
        with pytest.raises(StoreError, match="path is"):
            store.get(path)
        assert store.list("") == []

    def test_of_threads_that_swap_at_once_all_get_on(self, store: Store) -> None:
        store.put("count", b"0")

        def count_to(times: int) -> None:
            while times:
                stored = store.get("count")
                try:
                    store.swap("count", b"%d" % (int(stored.data) + 1), stored.tag)
                    times -= 1
                except ConflictError:
                    continue

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(count_to, [25] * 4))
        assert store.get("count").data == b"100"
