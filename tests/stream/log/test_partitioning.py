from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.log.partitioning import murmur2, partition_for

# From the tests of Kafka's Java client (org.apache.kafka.common.utils.UtilsTest); "abc" from
# those of librdkafka.
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_hash_is_javas(key: str) -> None:
    assert murmur2(key.encode()) == JAVA[key] % 2**32


@pytest.mark.parametrize("key", JAVA)
def test_partition_is_javas(key: str) -> None:
    assert partition_for(key, 12) == (JAVA[key] & 0x7FFFFFFF) % 12


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 1000))
def test_every_key_has_a_partition(key: str, partitions: int) -> None:
    assert 0 <= partition_for(key, partitions) < partitions
    assert partition_for(key, 1) == 0
