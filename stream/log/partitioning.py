"""Which partition a key belongs to: the same as Kafka's Java producer says."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 hash, unsigned 32 bits (``org.apache.kafka.common.utils.Utils.murmur2``).

    >>> murmur2(b"21") - 2**32, murmur2(b"abc")
    (-973932308, 479470107)
    """
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_for(key: str, partitions: int) -> int:
    """The partition that Java's default partitioner would choose for this key."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
