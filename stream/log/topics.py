"""What a topic may look like, the same on every log, so that what one takes the next takes too."""

from __future__ import annotations

import re

from estimator.errors import MisuseError
from stream.log.protocol import TopicSpec

_LEGAL = re.compile(r"[A-Za-z0-9._-]{1,249}")


def check_topic(spec: TopicSpec, partitions: int | None) -> None:
    """Refuse a spec that makes no sense, or one for a topic that has another partition count.

    ``partitions`` is how many the topic has now, None if it does not exist. Names are Kafka's.

    >>> check_topic(TopicSpec("wattstream.usage", 4), 2)
    Traceback (most recent call last):
    estimator.errors.MisuseError: topic 'wattstream.usage' has 2 partitions, 4 were asked for
    """
    if not _LEGAL.fullmatch(spec.name) or spec.name in (".", ".."):
        raise MisuseError(f"topic {spec.name!r}: a name is 1 to 249 letters, digits, dots, _ and -")
    if spec.partitions < 1:
        raise MisuseError(
            f"topic {spec.name!r}: partitions is {spec.partitions}, at least 1 needed"
        )
    for key in ("retention_seconds", "retention_bytes"):
        bound = getattr(spec, key)
        if bound is not None and not bound > 0:
            raise MisuseError(f"topic {spec.name!r}: {key} is {bound}, more than 0 needed")
    if partitions is not None and partitions != spec.partitions:
        raise MisuseError(
            f"topic {spec.name!r} has {partitions} partitions, {spec.partitions} were asked for"
        )
