from __future__ import annotations

from pathlib import Path

import pytest

from estimator.errors import NotFoundError
from estimator.storage.prefixed_store import PrefixedStore
from estimator.storage.store import FolderStore, InMemoryStore, Store
from tests.estimator.store_contract import StoreContract


class TestPrefixedInMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return PrefixedStore(InMemoryStore(), "in/part")


class TestPrefixedFolderStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return PrefixedStore(FolderStore(tmp_path), "in/part/")


def test_it_is_a_part_of_the_other_and_sees_nothing_else() -> None:
    whole = InMemoryStore()
    whole.put("a", b"outside")
    whole.put("parts/a", b"outside too")
    part = PrefixedStore(whole, "part")
    assert part.list("") == []
    with pytest.raises(NotFoundError, match="part/a"):
        part.get("a")
    part.put("b/c", b"inside")
    assert part.list("") == part.list("b") == ["b/c"]
    assert whole.list("") == ["a", "part/b/c", "parts/a"]
    part.delete("a")
    assert whole.get("a").data == b"outside"
