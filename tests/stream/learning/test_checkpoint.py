from __future__ import annotations

import logging
import random

import numpy as np
import pytest

from estimator.errors import DamagedError, FencedError, StoreError
from estimator.storage.store import InMemoryStore, Store
from stream.learning.checkpoint import KEPT, SCHEMA, Checkpoints, decode, encode
from stream.learning.checkpoint_pointer import name_of
from stream.learning.learner import Learner
from stream.learning.pools import pool
from tests.stream.builders import fleet, joined

FOLDER = "checkpoints/g/3"


def state(number: int) -> dict[str, object]:
    return {"number": number, "array": np.arange(50.0) * number}


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def checkpoints(store: InMemoryStore) -> Checkpoints:
    return claimed(store)


def claimed(store: Store) -> Checkpoints:
    """The checkpoints of an owner of partition 3."""
    found = Checkpoints(store, "g", "us")
    found.claim(3)
    return found


def name(number: int, generation: int = 1) -> str:
    return name_of(generation, number)


def number_of(checkpoints: Checkpoints) -> int:
    found = checkpoints.read(3)
    assert found is not None
    return int(found["number"])


def files(store: InMemoryStore) -> list[str]:
    return [path.removeprefix(f"{FOLDER}/") for path in store.list(FOLDER)]


def flip(store: InMemoryStore, path: str, place: int) -> None:
    data = bytearray(store.get(path).data)
    data[place] ^= 1 << (place % 8)
    store.put(path, bytes(data))


def test_the_state_of_a_learner_survives() -> None:
    learner = Learner(pool())
    for sample in joined(fleet(nodes=2, steps=12)):
        learner.learn_one(sample)
    data = encode(learner.state())
    again = Learner(pool())
    again.restore(decode(data))
    assert encode(again.state()) == data


@pytest.mark.parametrize("seed", range(5))
def test_any_flipped_bit_is_damage(seed: int) -> None:
    data = encode(state(7))
    rng = random.Random(seed)
    for place in [*range(60), *(rng.randrange(len(data)) for _ in range(60))]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.randrange(8)
        with pytest.raises(DamagedError):
            decode(bytes(damaged))


def test_any_truncation_is_damage() -> None:
    data = encode(state(7))
    for length in range(0, len(data), 7):
        with pytest.raises(DamagedError):
            decode(data[:length])
    with pytest.raises(DamagedError, match="digest"):
        decode(data + b"\0")


def test_another_schema_is_refused_by_name() -> None:
    data = encode(state(7))
    magic = len(data.partition(b"\n")[0]) + 1
    newer = data[:magic] + (SCHEMA + 1).to_bytes(2, "little") + data[magic + 2 :]
    with pytest.raises(DamagedError, match=f"schema is {SCHEMA + 1}: this release reads {SCHEMA}"):
        decode(newer)


def test_nothing_is_there_at_first(checkpoints: Checkpoints) -> None:
    assert checkpoints.read(3) is None


def test_the_newest_is_read_and_few_are_kept(
    store: InMemoryStore, checkpoints: Checkpoints
) -> None:
    for number in range(1, 8):
        checkpoints.write(3, encode(state(number)))
        assert number_of(checkpoints) == number
    assert files(store) == [name(n) for n in (5, 6, 7)] + ["current.json"]
    assert KEPT == 3
    assert checkpoints.read(4) is None
    assert Checkpoints(store, "other").read(3) is None


def test_a_damaged_one_is_said_and_the_one_before_is_used(
    store: InMemoryStore, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        checkpoints.write(3, encode(state(number)))
    flip(store, f"{FOLDER}/{name(3)}", 200)
    assert number_of(checkpoints) == 2
    assert f"checkpoints/g/3/{name(3)} cannot be used: the digest" in caplog.text
    store.delete(f"{FOLDER}/{name(2)}")
    assert number_of(checkpoints) == 1
    assert f"{name(2)} cannot be used" in caplog.text


def test_one_of_a_newer_schema_is_said_and_the_one_before_is_used(
    store: InMemoryStore, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.write(3, encode(state(1)))
    newer = bytearray(encode(state(2)))
    newer[len(b"WATTSTREAM CHECKPOINT\n")] = 9
    checkpoints.write(3, bytes(newer))
    assert number_of(checkpoints) == 1
    assert f"{name(2)} cannot be used: schema is 9" in caplog.text


def test_none_that_can_be_read_is_an_error_not_a_new_start(
    store: InMemoryStore, checkpoints: Checkpoints
) -> None:
    for number in (1, 2):
        checkpoints.write(3, encode(state(number)))
        store.put(f"{FOLDER}/{name(number)}", b"")
    with pytest.raises(DamagedError, match=r"no checkpoint of partition 3.*remove the folder"):
        checkpoints.read(3)


def test_writing_after_damage_goes_on(store: InMemoryStore, checkpoints: Checkpoints) -> None:
    for number in (1, 2):
        checkpoints.write(3, encode(state(number)))
    flip(store, f"{FOLDER}/{name(2)}", 100)
    checkpoints.write(3, encode(state(3)))
    assert number_of(checkpoints) == 3


def test_whatever_befalls_the_pointer_the_newest_is_found(
    store: InMemoryStore, checkpoints: Checkpoints
) -> None:
    for number in (1, 2):
        checkpoints.write(3, encode(state(number)))
    pointer = f"{FOLDER}/current.json"
    sound = store.get(pointer).data
    damaged = [sound[:length] for length in range(len(sound))]
    damaged += [b"\xff" * 9, b'{"names":["x.ckpt"]}', b'{"names":["../../secret"]}', b"[]"]
    for data in damaged:
        store.put(pointer, data)
        assert number_of(checkpoints) == 2, data


def test_no_flipped_bit_of_the_pointer_loses_what_was_learned(
    store: InMemoryStore, checkpoints: Checkpoints
) -> None:
    checkpoints.write(3, encode(state(1)))
    pointer = f"{FOLDER}/current.json"
    sound = store.get(pointer).data
    for place in range(len(sound)):
        for bit in range(8):
            damaged = bytearray(sound)
            damaged[place] ^= 1 << bit
            store.put(pointer, bytes(damaged))
            assert number_of(checkpoints) == 1


def test_writing_mends_a_damaged_pointer(store: InMemoryStore, checkpoints: Checkpoints) -> None:
    checkpoints.write(3, encode(state(1)))
    store.put(f"{FOLDER}/current.json", b'{"names":["x.ckpt"]}')
    checkpoints.write(3, encode(state(2)))
    assert number_of(checkpoints) == 2
    assert files(store) == [name(n) for n in (1, 2)] + ["current.json"]


class Failing(InMemoryStore):
    """Refuses to write or delete under paths with a certain ending."""

    refuses = "nothing"

    def put(self, path: str, data: bytes) -> str:
        if path.endswith(self.refuses):
            raise StoreError(f"{path}: refused")
        return super().put(path, data)

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        if path.endswith(self.refuses):
            raise StoreError(f"{path}: refused")
        return super().swap(path, data, expected_tag)

    def delete(self, path: str) -> None:
        if path.endswith(self.refuses):
            raise StoreError(f"{path}: refused")
        super().delete(path)


@pytest.mark.parametrize("refuses", ["2.ckpt", "current.json"])
def test_a_write_that_fails_leaves_the_one_before(refuses: str) -> None:
    store = Failing()
    checkpoints = claimed(store)
    checkpoints.write(3, encode(state(1)))
    store.refuses = refuses
    with pytest.raises(StoreError):
        checkpoints.write(3, encode(state(2)))
    assert number_of(checkpoints) == 1
    store.refuses = "nothing"
    checkpoints.write(3, encode(state(3)))
    assert number_of(checkpoints) == 3


def test_what_a_crash_left_over_is_deleted_by_a_later_write() -> None:
    store = Failing()
    checkpoints = claimed(store)
    for number in (1, 2, 3):
        checkpoints.write(3, encode(state(number)))
    store.refuses = "1.ckpt"
    with pytest.raises(StoreError):
        checkpoints.write(3, encode(state(4)))
    assert number_of(checkpoints) == 4
    store.refuses = "nothing"
    checkpoints.write(3, encode(state(5)))
    assert files(store) == [name(n) for n in (3, 4, 5)] + ["current.json"]


def test_reading_sound_ones_says_nothing(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="stream.learning.checkpoint"):
        for number in (1, 2):
            checkpoints.write(3, encode(state(number)))
        assert number_of(checkpoints) == 2
    assert caplog.text == ""


# One owner at a time


def test_who_claims_goes_on_from_what_was_written_and_the_one_before_can_write_no_more(
    store: InMemoryStore,
) -> None:
    before, after = claimed(store), Checkpoints(store, "g", "them")
    before.write(3, encode(state(1)))
    found = after.claim(3)
    assert found is not None
    assert found["number"] == 1
    for _ in range(2):  # and it cannot, however often it tries
        with pytest.raises(FencedError, match=r"partition 3 .*"):
            before.write(3, encode(state(99)))
    assert number_of(after) == 1
    after.write(3, encode(state(2)))
    assert number_of(before) == 2
    assert before.claim(3) is not None  # unless it takes it over in turn
    before.write(3, encode(state(3)))
    with pytest.raises(FencedError, match=r"taken over by us \(generation 3, ours is 2\)"):
        after.write(3, encode(state(98)))
    assert number_of(after) == 3


def test_what_a_fenced_owner_leaves_behind_is_deleted_and_it_deletes_nothing(
    store: InMemoryStore,
) -> None:
    before, after = claimed(store), Checkpoints(store, "g")
    for number in (1, 2, 3):
        before.write(3, encode(state(number)))
    after.claim(3)
    after.write(3, encode(state(4)))
    with pytest.raises(FencedError):
        before.write(3, encode(state(99)))
    assert name(4) in files(store)  # which nobody names
    assert number_of(after) == 4
    after.write(3, encode(state(5)))
    assert files(store) == [name(3), name(4, 2), name(5, 2), "current.json"]


class Slow(InMemoryStore):
    """Another claims and writes between an owner's pointer and its tidying up."""

    other: Checkpoints | None = None

    def list(self, prefix: str) -> list[str]:
        other, self.other = self.other, None
        if other is not None:
            other.claim(3)
            for number in (11, 12, 13, 14):
                other.write(3, encode(state(number)))
        return super().list(prefix)


def test_an_owner_that_was_late_deletes_nothing_of_its_successor() -> None:
    store = Slow()
    before, after = claimed(store), Checkpoints(store, "g")
    before.write(3, encode(state(1)))
    store.other = after
    before.write(3, encode(state(2)))
    assert number_of(after) == 14
    assert [file for file in files(store) if file.startswith("00000002-")] == [
        name(number, 2) for number in (4, 5, 6)
    ]


class Forgetful(InMemoryStore):
    """Swaps, and loses the answer."""

    forgets = False

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        tag = super().swap(path, data, expected_tag)
        if self.forgets:
            raise StoreError(f"{path}: no answer")
        return tag


def test_a_swap_whose_answer_was_lost_is_known_again() -> None:
    store = Forgetful()
    checkpoints = claimed(store)
    store.forgets = True
    with pytest.raises(StoreError, match="no answer"):
        checkpoints.write(3, encode(state(1)))
    assert number_of(checkpoints) == 1
    store.forgets = False
    checkpoints.write(3, encode(state(2)))
    assert number_of(checkpoints) == 2


def test_what_was_never_claimed_cannot_be_written(store: InMemoryStore) -> None:
    with pytest.raises(FencedError, match="partition 3 is not claimed"):
        Checkpoints(store, "g").write(3, encode(state(1)))
    assert store.list("") == []


def test_of_many_owners_the_last_to_claim_has_all_that_was_written(store: InMemoryStore) -> None:
    """Many claim and write at random: what is current was always written upon what was."""
    rng = random.Random(4)
    owners = [Checkpoints(store, "g", str(place)) for place in range(4)]
    seen: dict[int, int] = {}
    for _ in range(300):
        place = rng.randrange(len(owners))
        if place not in seen or rng.random() < 0.1:
            found = owners[place].claim(3)
            seen[place] = 0 if found is None else int(found["number"])
        try:
            owners[place].write(3, encode(state(seen[place] + 1)))
        except FencedError:
            del seen[place]
        else:
            seen[place] += 1
            assert number_of(owners[0]) == seen[place]
    assert number_of(owners[0]) > 20


def test_the_names_of_earlier_releases_are_read(store: InMemoryStore) -> None:
    store.put(f"{FOLDER}/000000000017.ckpt", encode(state(17)))
    store.put(f"{FOLDER}/current.json", b'{"names":["000000000017.ckpt"]}')
    checkpoints = claimed(store)
    assert number_of(checkpoints) == 17
    checkpoints.write(3, encode(state(18)))
    assert files(store) == ["000000000017.ckpt", name(18), "current.json"]
