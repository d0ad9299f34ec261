from __future__ import annotations

from tests.kafka.fixtures import (
    kafka,
    kafka_cluster,
    own_kafka,
    own_secured_kafka,
    secured_kafka,
)

__all__ = ["kafka", "kafka_cluster", "own_kafka", "own_secured_kafka", "secured_kafka"]
