from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.regressors.parts import Parts


def random(seed: int, *shape: int) -> Floats:
    """Numbers of all sizes, whose sums depend on the order of adding."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * 10.0 ** rng.integers(-8, 8, shape)


def same(found: Floats | list[Floats], expected: list[Floats]) -> bool:
    """Equal to the last bit."""
    return np.array(found).tobytes() == np.array(expected).tobytes()


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 6),
    each=st.integers(1, 40),
    terms=st.integers(2, 30),
    targets=st.integers(1, 5),
)
def test_parts_of_one_size_are_worked_out_at_once_and_as_one_by_one(
    seed: int, count: int, each: int, terms: int, targets: int
) -> None:
    parts = Parts([each] * count)
    rows, watts = random(seed, count * each, terms), random(seed + 1, count * each, targets)
    matrices = random(seed + 2, count, terms, targets)
    alone = [(rows[part], watts[part], Parts([each])) for part in parts.parts()]
    assert parts.each == each
    assert same(parts.sums(watts), [one.sums(y)[0] for _, y, one in alone])
    assert same(parts.means(watts), [one.means(y)[0] for _, y, one in alone])
    assert same(parts.products(rows, rows), [one.products(z, z)[0] for z, _, one in alone])
    assert same(parts.products(rows, watts), [one.products(z, y)[0] for z, y, one in alone])
    times = [one.times(z, m[None]) for (z, _, one), m in zip(alone, matrices, strict=True)]
    assert parts.times(rows, matrices).tobytes() == np.concatenate(times).tobytes()


@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    terms=st.integers(2, 30),
    targets=st.integers(1, 5),
)
def test_parts_of_any_size_are_worked_out_as_one_by_one(
    seed: int, sizes: list[int], terms: int, targets: int
) -> None:
    parts = Parts(sizes)
    rows, watts = random(seed, sum(sizes), terms), random(seed + 1, sum(sizes), targets)
    matrices = random(seed + 2, len(sizes), terms, targets)
    alone = [
        (rows[part], watts[part], Parts([size]))
        for part, size in zip(parts.parts(), sizes, strict=True)
    ]
    assert same(parts.sums(watts), [one.sums(y)[0] for _, y, one in alone])
    assert same(parts.means(watts), [one.means(y)[0] for _, y, one in alone])
    assert same(list(parts.products(rows, watts)), [one.products(z, y)[0] for z, y, one in alone])
    times = [one.times(z, m[None]) for (z, _, one), m in zip(alone, matrices, strict=True)]
    assert parts.times(rows, matrices).tobytes() == np.concatenate(times).tobytes()


def test_parts_know_their_rows() -> None:
    parts = Parts([2, 1, 3])
    assert parts.parts() == [slice(0, 2), slice(2, 3), slice(3, 6)]
    assert (parts.starts, parts.each, parts.alone) == ([0, 2, 3, 6], None, False)
    assert parts.sums(np.arange(6.0)).tolist() == [1.0, 2.0, 12.0]
    assert parts.means(np.arange(6.0)).tolist() == [0.5, 2.0, 4.0]
    assert Parts([1, 1]).alone
