from __future__ import annotations

from server.web.memo import SnapshotMemo
from tests.server.fakes import FakeCatalog, make_entry


def test_a_result_is_made_once_until_the_catalog_changes() -> None:
    catalog, made = FakeCatalog(), list[int]()
    memo: SnapshotMemo[int] = SnapshotMemo(catalog)

    def make() -> int:
        made.append(len(made))
        return made[-1]

    assert [memo.get("a", make), memo.get("a", make), memo.get("b", make)] == [0, 0, 1]
    catalog.entries = (make_entry(),)
    assert [memo.get("a", make), memo.get("a", make)] == [2, 2]


def test_what_was_made_while_the_catalog_changed_is_not_kept() -> None:
    catalog = FakeCatalog()
    memo: SnapshotMemo[str] = SnapshotMemo(catalog)

    def changing() -> str:
        catalog.entries = (make_entry(),)
        return "of neither"

    assert memo.get("a", changing) == "of neither"
    assert memo.get("a", lambda: "of the new") == "of the new"


def test_it_is_bounded() -> None:
    memo: SnapshotMemo[int] = SnapshotMemo(FakeCatalog(), bound=2)
    for key in range(3):
        memo.get(key, lambda: 0)
    assert memo.get(2, lambda: 1) == 0
    assert memo.get(0, lambda: 1) == 1
