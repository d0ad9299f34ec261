from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.log.fairness import fair_shares


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(0, 200))
def test_shares_are_fair(available: list[int], limit: int) -> None:
    shares = fair_shares(available, limit)
    assert sum(shares) == min(sum(available), limit)
    assert all(0 <= share <= count for share, count in zip(shares, available, strict=True))
    largest = max(shares, default=0)
    for share, count in zip(shares, available, strict=True):
        assert share in (count, largest, largest - 1)
