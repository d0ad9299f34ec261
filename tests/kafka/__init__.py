"""A real Apache Kafka broker for development and tests: from Maven Central, on loopback only."""
