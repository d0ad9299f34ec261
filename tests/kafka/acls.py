"""What each service must be allowed at Kafka; the table in ``docs/kafka.md`` comes from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from stream.letters.dead_letter_box import GROUP as REDRIVE_GROUP
from stream.records import DEAD_TOPIC, GROUP, POWER_TOPIC, USAGE_TOPIC


class Need(NamedTuple):
    """An operation on one resource, by Kafka's names, and what it is for."""

    operation: str
    kind: str
    name: str
    why: str


SERVICES: Final[Mapping[str, Sequence[Need]]] = {
    "collector": (
        Need("Write", "Topic", USAGE_TOPIC, "its usage records"),
        Need("Write", "Topic", POWER_TOPIC, "its power records"),
        Need("Describe", "Topic", DEAD_TOPIC, "to see that all topics are there"),
    ),
    "learner": (
        Need("Read", "Topic", USAGE_TOPIC, "what it learns from"),
        Need("Read", "Topic", POWER_TOPIC, "what it learns from"),
        Need("Write", "Topic", DEAD_TOPIC, "records that it cannot read"),
        Need("Read", "Group", GROUP, "to be a member, and to note how far it has come"),
    ),
    "topics": (
        Need("Describe", "Topic", USAGE_TOPIC, "its offsets; else it is not listed"),
        Need("Describe", "Topic", POWER_TOPIC, "its offsets; else it is not listed"),
        Need("Read", "Topic", DEAD_TOPIC, "what dead letters are of; else it is not listed"),
        Need("Describe", "Group", GROUP, "how far the learners have come"),
        Need("Describe", "Group", REDRIVE_GROUP, "which dead letters have been sent back"),
    ),
    "topics redrive": (
        Need("Read", "Topic", DEAD_TOPIC, "the dead letters"),
        Need("Write", "Topic", DEAD_TOPIC, "receipts for those that were sent back"),
        Need("Write", "Topic", USAGE_TOPIC, "what is sent back"),
        Need("Write", "Topic", POWER_TOPIC, "what is sent back"),
        Need("Read", "Group", REDRIVE_GROUP, "to note how far it has come"),
    ),
    "replay": (
        Need("Read", "Topic", USAGE_TOPIC, "what it reads again"),
        Need("Read", "Topic", POWER_TOPIC, "what it reads again"),
    ),
}
"""Exactly what is needed where the topics exist. Read and Write include Describe."""

CREATOR: Final[Sequence[Need]] = tuple(
    Need("Create", "Topic", name, "to make it, if it is not there")
    for name in (USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC)
)
"""What the service that starts first needs beside its own, unless another makes the topics."""

CONFIGS: Final[Sequence[Need]] = tuple(
    Need("DescribeConfigs", "Topic", name, "its limit of size, 1 MiB is assumed otherwise")
    for name in (USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC)
)
"""What is better allowed to whoever writes."""


def table() -> str:
    """The needs of each service as a table in Markdown."""
    rows = ["| service | operation | on | for |", "| --- | --- | --- | --- |"]
    groups = {**SERVICES, "who makes the topics": CREATOR, "collector, better": CONFIGS[:2]}
    for service, needs in groups.items():
        rows += [
            f"| {service} | {need.operation} | {need.kind} `{need.name}` | {need.why} |"
            for need in needs
        ]
    return "\n".join(rows)


def allow(admin: Any, user: str, needs: Iterable[Need]) -> None:
    """Allow a user all of that and wait until the broker knows it."""
    wanted = [_acl(f"User:{user}", need) for need in needs]
    failed = admin.create_acls(wanted)["failed"]
    assert not failed, failed
    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    mine = ACLFilter(f"User:{user}", None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
    for _ in range(100):
        found, error = admin.describe_acls(mine)
        assert not error.errno, error
        if len(found) >= len(set(wanted)):
            return
    raise AssertionError(f"{user} has {found}, not {wanted}")


def _acl(principal: str, need: Need) -> ACL:
    operation = "".join(f"_{letter}" if letter.isupper() else letter for letter in need.operation)
    return ACL(
        principal,
        "*",
        ACLOperation[operation.strip("_").upper()],
        ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType[need.kind.upper()], need.name),
    )
