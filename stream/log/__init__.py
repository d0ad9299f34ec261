"""The log: ordered, durable topics, partitioned by node. Nothing above knows which one it has."""
