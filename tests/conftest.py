from __future__ import annotations

from tests.kafka.fixtures import (
    collected_sockets,
    kafka,
    kafka_cluster,
    own_kafka,
    own_secured_kafka,
    secured_kafka,
)

__all__ = [
    "collected_sockets",
    "kafka",
    "kafka_cluster",
    "own_kafka",
    "own_secured_kafka",
    "secured_kafka",
]
