from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import forest, linear_model, optim, preprocessing

from estimator.errors import DamagedError
from estimator.regressors import river_state

RAN: list[str] = []


def run(what: str) -> None:
    """What a stranger would like to have run."""
    RAN.append(what)


class Calling:
    """Something whose pickle calls a function when it is read."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def linear() -> Any:
    return preprocessing.MaxAbsScaler() | linear_model.LinearRegression(
        optimizer=optim.Adam(lr=3.0), intercept_lr=0.1
    )


def amf() -> Any:
    return preprocessing.MinMaxScaler() | forest.AMFRegressor(n_estimators=2, seed=1, max_nodes=100)


def learned(make: Callable[[], Any], count: int = 12) -> Any:
    model = make()
    for number in range(count):
        model.learn_one({"cpu": number * 7 % 5 * 1e9, "miss": number * 3 % 4}, 50.0 + number % 5)
    return model


def wrapped(pickled: bytes) -> bytes:
    """A pickle as `river_state.dump` would have wrapped it."""
    return msgspec.msgpack.encode(([], pickled))


SAVED = river_state.dump(learned(linear))


@pytest.mark.parametrize("make", [linear, amf])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_a_model_goes_on_as_if_nothing_had_been(make: Callable[[], Any], count: int) -> None:
    model = learned(make, count)
    again = river_state.load(river_state.dump(model))
    for number in range(5):
        sample = {"cpu": number * 1e9, "miss": 2}
        assert again.predict_one(sample) == model.predict_one(sample)
        for each in (again, model):
            each.learn_one(sample, 60.0 + number)
    assert river_state.dump(again) == river_state.dump(model)


@pytest.mark.parametrize("make", [linear, amf])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_writing_what_was_read_gives_the_same_bytes(make: Callable[[], Any], count: int) -> None:
    saved = river_state.dump(learned(make, count))
    assert river_state.dump(river_state.load(saved)) == saved


@pytest.mark.parametrize(
    "stranger",
    [
        Calling(os.system, "true"),
        Calling(eval, "1 + 1"),
        Calling(exec, "pass"),
        Calling(getattr, 1.0, "real"),
        Calling(__import__, "os"),
        Calling(partial, run, "partial"),
        Calling(run, "run"),
        optim.SGD(),
    ],
    ids=[
        "os.system",
        "eval",
        "exec",
        "getattr",
        "import",
        "partial",
        "ours",
        "another river class",
    ],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_strangers_are_refused_and_not_run(stranger: object, protocol: int) -> None:
    RAN.clear()
    for data in (stranger, {"models": [learned(linear), stranger]}):
        with pytest.raises(DamagedError, match=r"^river state: [\w.]+ is not admitted$"):
            river_state.load(wrapped(pickle.dumps(data, protocol=protocol)))
        with pytest.raises(DamagedError, match=r"^river state: [\w.]+ is not admitted$"):
            river_state.load(river_state.dump(data))
    assert not RAN


def test_a_stranger_is_named() -> None:
    with pytest.raises(DamagedError, match=r"(posix|nt)\.system is not admitted"):
        river_state.load(wrapped(pickle.dumps(Calling(os.system, "true"))))


def test_what_an_admitted_class_has_is_not_admitted() -> None:
    # Names in a pickle may have dots.
    with pytest.raises(DamagedError, match=r"random\.Random\.seed is not admitted"):
        river_state.load(wrapped(b"\x80\x04\x8c\x06random\x8c\x0bRandom.seed\x93."))


@given(st.integers(0, len(SAVED) - 1))
def test_half_a_model_is_damaged(length: int) -> None:
    with pytest.raises(DamagedError, match=r"^river state: "):
        river_state.load(SAVED[:length])
    texts, pickled = msgspec.msgpack.decode(SAVED)
    with pytest.raises(DamagedError, match=r"^river state: "):
        river_state.load(msgspec.msgpack.encode((texts, pickled[: length % len(pickled)])))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        wrapped(b""),
        wrapped(b"."),
        wrapped(b"K\x05Q."),
        wrapped(b"NQ."),
        wrapped(b"h\x05."),
        wrapped(b"Nb."),
        wrapped(b"\x80\x63N."),
        wrapped(b"\x8e\x00\x00\x00\x00\x00\x00\x00\x01"),
        wrapped(b"\x8d\x00\x00\x00\x00\x00\x00\x00\x80"),
        msgspec.msgpack.encode(([1], b"N.")),
        msgspec.msgpack.encode({"texts": []}),
    ],
    ids=repr,
)
def test_what_is_no_model_is_damaged(data: bytes) -> None:
    with pytest.raises(DamagedError, match=r"^river state: "):
        river_state.load(data)
