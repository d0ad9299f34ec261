from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import MisuseError, NotFoundError
from estimator.model_key import ModelKey
from estimator.storage.model_index import (
    Decision,
    ModelIndex,
    Version,
    find_index,
    find_version,
    grown,
    pinned,
    rolled_back,
    unpinned,
    version_before,
)
from estimator.storage.retention import SPREAD, Retention, last
from tests.estimator.artifacts.made import XEON

KEY = ModelKey(XEON.node_type, "acpi", "AbsPower", "CPUTime")


def version(name: str, at: int = 0) -> Version:
    return Version(name, at, 10, {}, XEON, ["cpu_cycles"], ["platform"])


def index_of(*names: str, current: str = "", held: tuple[str, ...] = ()) -> ModelIndex:
    versions = [Version(n, 0, 10, {}, XEON, [], [], held=n in held) for n in names]
    return ModelIndex(1, KEY, current or names[-1], versions)


def test_names_are_found_by_their_beginning() -> None:
    index = index_of("abc1", "abd2", "b3")
    assert find_version(index, "abc").digest == "abc1"
    with pytest.raises(MisuseError, match=r"'ab' may be any of abc1, abd2"):
        find_version(index, "ab")
    with pytest.raises(NotFoundError, match=r"'x' is not there; there are: abc1, abd2, b3"):
        find_version(index, "x")


def test_a_model_is_found_by_its_name_or_a_part_of_it() -> None:
    indexes = {"m.acpi": index_of("a"), "m.acpi.x": index_of("b"), "n.rapl": index_of("c")}
    assert find_index(indexes, "m.acpi").current == "a"
    assert find_index(indexes, "rapl").current == "c"
    with pytest.raises(MisuseError, match="may be any of"):
        find_index(indexes, "m.")
    with pytest.raises(NotFoundError, match="there are: none"):
        find_index({}, "m")


def test_the_version_before_is_the_last_that_was_not_held_back() -> None:
    assert version_before(index_of("a", "b", "c", held=("b",))).digest == "a"
    assert version_before(index_of("a", "b", "c", current="b")).digest == "a"
    with pytest.raises(NotFoundError, match="no version before"):
        version_before(index_of("a", "b", current="a"))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 20_000)),
        st.tuples(st.just("hold"), st.integers(0, 20_000)),
        st.tuples(st.sampled_from(["hold and go back", "roll back", "pin"]), st.integers(0, 100)),
        st.tuples(st.just("unpin"), st.just(0)),
    ),
    max_size=80,
)


@settings(deadline=None)
@given(steps, st.sampled_from([SPREAD, last(1), last(4)]))
def test_whatever_happens_the_current_version_is_there(
    steps: list[tuple[str, int]], keep: Retention
) -> None:
    index, dropped = grown(None, version("0"), KEY, keep, Decision(held=True))
    at, counted = 0, 0
    for number, (what, much) in enumerate(steps, 1):
        before = index
        old = index.versions[much % len(index.versions)].digest
        if what in ("publish", "hold", "hold and go back"):
            at += much * 1000
            decision = Decision(what != "publish", old if what == "hold and go back" else None)
            index, dropped = grown(before, version(str(number), at), KEY, keep, decision)
            there = {one.digest for one in index.versions}
            assert there.isdisjoint(dropped)
            assert {*there, *dropped} == {*(v.digest for v in before.versions), str(number)}
            held = what != "publish" and not before.pinned
            counted += held
            if before.pinned:
                assert index.current == before.current
            assert (index.current == str(number)) == (what == "publish" and not before.pinned)
            assert (index.held_since is not None) == held
        elif what == "unpin":
            index = unpinned(before)
            assert index.current == before.current
        else:
            index = (rolled_back if what == "roll back" else pinned)(before, old)
            assert (index.current, index.pinned, index.held_since) == (old, True, None)
        assert index.served.digest == index.current
        assert len({one.digest for one in index.versions}) == len(index.versions) <= keep.most
        assert index.held_back == counted
        assert sum(index.rollbacks.values()) >= sum(before.rollbacks.values())
