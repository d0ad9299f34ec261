"""From a URL to the log that it names."""

from __future__ import annotations

from estimator.errors import MisuseError
from stream.log.memory import MemoryLog
from stream.log.protocol import Log
from stream.log.sqlite import SqliteLog

KNOWN = (
    "sqlite:///absolute/path",
    "sqlite:relative/path",
    "kafka://host:port[,host:port]",
    "memory:",
)


def open_log(url: str) -> Log:
    """Open the log; the caller closes it. ``MisuseError`` if the URL names no known kind.

    Kafka is connected to when it is first needed, not now.

    >>> with open_log("memory:") as log:
    ...     log.topics()
    []
    >>> open_log("redis://here")
    Traceback (most recent call last):
    estimator.errors.MisuseError: log 'redis://here' is not known: use one of sqlite:///absolute/path, sqlite:relative/path, kafka://host:port[,host:port], memory:
    """  # noqa: E501
    kind, colon, rest = url.partition(":")
    if (kind, colon, rest) == ("memory", ":", ""):
        return MemoryLog()
    if kind == "kafka" and rest.startswith("//"):
        # Only who uses Kafka pays for its client: 0.3 s and 30 MB.
        from stream.log.kafka import KafkaLog

        return KafkaLog(url)
    # Two slashes would begin a host's name, and no host is asked for a file.
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if kind == "sqlite" and path and not path.startswith("//") and not path.endswith("/"):
        return SqliteLog(path)
    raise MisuseError(f"log {url!r} is not known: use one of {', '.join(KNOWN)}")
