from __future__ import annotations

from tests.kafka.fixtures import collected_sockets, kafka, kafka_cluster, own_kafka

__all__ = ["collected_sockets", "kafka", "kafka_cluster", "own_kafka"]
