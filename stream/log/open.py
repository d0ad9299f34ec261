"""From a URL to the log that it names."""

from __future__ import annotations

import logging
import re

from estimator.errors import MisuseError
from stream.log.kafka_security import KafkaSecurity
from stream.log.memory import MemoryLog
from stream.log.protocol import Log
from stream.log.sqlite import SqliteLog

_log = logging.getLogger(__name__)

KNOWN = (
    "sqlite:///absolute/path",
    "sqlite:relative/path",
    "kafka://host:port[,host:port]",
    "memory:",
)


def open_log(url: str, security: KafkaSecurity | None = None) -> Log:
    """Open the log; the caller closes it. ``MisuseError`` if the URL names no known kind.

    Kafka is connected to when it is first needed, not now; but ``security``, which says how, is
    checked now.

    >>> with open_log("memory:") as log:
    ...     log.topics()
    []
    >>> open_log("redis://here")
    Traceback (most recent call last):
    estimator.errors.MisuseError: log 'redis://here' is not known: use one of sqlite:///absolute/path, sqlite:relative/path, kafka://host:port[,host:port], memory:
    """  # noqa: E501
    security = security or KafkaSecurity()
    if re.match(r"[^:/]+://[^/]*@", url):  # and not one word of what stands there
        raise MisuseError(
            "log: an address takes no name and password; set kafka_username and kafka_password_file"
        )
    kind, colon, rest = url.partition(":")
    if kind == "kafka" and rest.startswith("//"):
        # Only who uses Kafka pays for its client: 0.3 s and 30 MB.
        from stream.log.kafka import KafkaLog

        security.check()
        security.warn()
        return KafkaLog(url, options=security.options)
    if security.given:
        _log.warning("%s: of use to a log kafka:// only", ", ".join(security.given))
    if (kind, colon, rest) == ("memory", ":", ""):
        return MemoryLog()
    # Two slashes would begin a host's name, and no host is asked for a file.
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if kind == "sqlite" and path and not path.startswith("//") and not path.endswith("/"):
        return SqliteLog(path)
    raise MisuseError(f"log {url!r} is not known: use one of {', '.join(KNOWN)}")
