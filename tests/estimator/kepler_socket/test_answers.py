import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from estimator.arrays import Floats
from estimator.kepler_socket.answers import MOST_BYTES, encode_answer, encode_refusal, encode_row
from estimator.kepler_socket.decimals import (
    to_milliwatts,
    write_few_watts,
    write_watts,
    written_sizes,
)

KEPLER = ["package", "core", "uncore", "dram"]


def go_milliwatts(watts: float, ratio: float = 1.0) -> int:
    """Kepler's uint64(watts * 1000 * ratio)."""
    return math.trunc(watts * 1000 * ratio)


def test_the_arithmetic_of_kepler() -> None:
    # The contract's worked example.
    assert go_milliwatts(60.1239) * 3 == 180369
    assert go_milliwatts(60.1239, 0.5) * 3 == 90183
    assert go_milliwatts(100.5559, 0.5) == 50277
    assert go_milliwatts(1.001) == 1000


def test_milliwatts_survive_truncation_at_kepler() -> None:
    milliwatts = np.arange(300_000)
    naive = milliwatts / 1000
    assert (np.trunc(naive * 1000) != milliwatts).any()
    sent = json.loads(write_watts(naive, 3))
    assert [go_milliwatts(watts) for watts in sent] == milliwatts.tolist()


@given(st.floats(0, 1e6))
@example(1.001)
@example(4.35)
def test_kepler_gets_the_nearest_milliwatt(watts: float) -> None:
    sent = float(to_milliwatts(np.array([watts]))[0])
    assert go_milliwatts(sent) == round(float(np.rint(watts * 1000.0)))
    assert abs(sent - watts) <= 0.0006 + watts * 1e-12


def test_compact() -> None:
    watts = np.array([[10.5, 9.1, 0.0, 2.25], [0.2, 0.1, 0.0, 0.1]])
    assert encode_answer(KEPLER, watts) == (
        b'{"powers":{"package":[10.5,0.2],"core":[9.1,0.1],"uncore":[0,0],"dram":[2.25,0.1]},'
        b'"msg":"","core_ratio":1}'
    )


def test_what_is_no_power_is_zero() -> None:
    watts = np.array([[math.nan], [-1.5], [-0.0], [1e-9], [math.inf]])
    for times in (1, 100):
        answer = encode_answer(["platform"], np.tile(watts, (times, 1)))
        assert b"-" not in answer
        assert json.loads(answer)["powers"]["platform"] == [0, 0, 0, 0, 1e9] * times


def test_message_and_ratio() -> None:
    answer = json.loads(encode_answer(["platform"], np.ones((1, 1)), 'no "model" \ud800', 2 / 96))
    assert answer["msg"] == 'no "model" ?'
    assert answer["core_ratio"] == pytest.approx(2 / 96, rel=1e-5)
    assert json.loads(encode_refusal("why")) == {"powers": {}, "msg": "why", "core_ratio": 1}


def real_watts(rows: int, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.0, 1.0, (rows, 4)) * [120.0, 90.0, 9.0, 15.0]


def decimals(answer: bytes) -> int:
    powers = json.loads(answer)["powers"].values()
    return max(len(f"{watts!r}.".split(".")[1].rstrip("0")) for row in powers for watts in row)


@pytest.mark.parametrize(
    ("rows", "places", "components"),
    [
        (100, (3, 4), KEPLER),
        (160, (2,), KEPLER),
        (200, (1,), KEPLER),
        (320, (0,), KEPLER),
        (400, (1,), ["package", "dram"]),
        (500, (0,), ["package", "dram"]),
    ],
)
def test_what_is_given_up_for_4096_bytes(
    rows: int, places: tuple[int, ...], components: list[str]
) -> None:
    watts = real_watts(rows)
    answer = encode_answer(KEPLER, watts)
    assert len(answer) <= MOST_BYTES
    powers = json.loads(answer)["powers"]
    assert list(powers) == components
    assert decimals(answer) in places
    for component, sent in powers.items():
        want = watts[:, KEPLER.index(component)]
        np.testing.assert_allclose(sent, want, rtol=0, atol=0.51 * 10.0 ** -min(places[0], 3))


def test_zero_components_go_first() -> None:
    watts = real_watts(270) * [1.0, 0.0, 0.0, 1.0]
    powers = json.loads(encode_answer(KEPLER, watts))["powers"]
    assert list(powers) == ["package", "dram"]
    assert decimals(encode_answer(KEPLER, watts)) >= 3


def test_all_zero_is_never_nothing() -> None:
    answer = encode_answer(KEPLER, np.zeros((1500, 4)))
    assert json.loads(answer)["powers"] == {"package": [0] * 1500}
    assert len(answer) <= MOST_BYTES


def test_what_never_fits_is_written_in_full() -> None:
    watts = real_watts(10_000)
    powers = json.loads(encode_answer(KEPLER, watts))["powers"]
    assert list(powers) == KEPLER
    np.testing.assert_allclose(np.array(list(powers.values())).T, watts, rtol=0, atol=0.0006)


WATTS = st.floats(0.0, 1e5) | st.sampled_from([0.0, 1.001, 99.9996, 9.5, 1e8])


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(0, 60)), elements=WATTS))
def test_sizes_are_known_before_writing(watts: Floats) -> None:
    for places in range(4):
        assert written_sizes(watts, places) == [len(write_watts(row, places)) for row in watts]


@given(st.lists(WATTS, max_size=40))
def test_a_few_are_written_like_many(watts: list[float]) -> None:
    assert write_few_watts(watts) == write_watts(np.array(watts), 3)


@given(
    st.integers(0, 700),
    st.integers(1, 5),
    st.floats(0.01, 2000.0),
    st.integers(0, 1 << 30),
)
def test_as_many_entries_as_rows_and_short_if_it_can_be(
    rows: int, count: int, scale: float, seed: int
) -> None:
    components = [*KEPLER, "psys"][:count]
    rng = np.random.default_rng(seed)
    watts = rng.uniform(0.0, scale, (rows, count)) * np.maximum(
        rng.integers(0, 2, count), [1, 0, 0, 0, 0][:count]
    )
    answer = encode_answer(components, watts)
    powers = json.loads(answer)["powers"]
    assert powers
    assert {len(sent) for sent in powers.values()} == {rows}
    if len(answer) > MOST_BYTES:
        must = [at for at, name in enumerate(components) if name not in ("core", "uncore", "psys")]
        shortest = np.rint(watts[:, must]).astype(int).T.tolist()
        assert len(json.dumps(shortest, separators=(",", ":"))) > MOST_BYTES - 80


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5),
    st.sampled_from([1.0, 0.5, 0.0208333]),
)
def test_a_single_row_is_written_as_any_other(watts: list[float], core_ratio: float) -> None:
    names = [f'{at}%s"' for at in range(len(watts))]
    whole = encode_answer(names, np.array([watts]), "", core_ratio)
    assert encode_row(names, watts, core_ratio) == whole
