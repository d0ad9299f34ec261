"""What a replay has found: errors by model, and what became of all the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict

from estimator.errors import WattstreamError
from stream.analysis.evaluate import Report, errors_of
from stream.learning.publisher import owners_by_key
from stream.learning.shard import Shard
from stream.records import POWER_TOPIC, USAGE_TOPIC
from stream.replaying.replay_plan import Plan
from stream.replaying.selection import OTHER_NODES, OTHER_TIMES
from stream.replaying.when import format_time


def replay_report(namespace: str, plan: Plan, shards: Sequence[Shard]) -> Report:
    """What ``wattstream replay --json`` prints: a function of the plan and the records alone."""
    counts, dropped = Counter[str](), Counter[str]()
    samples = 0
    for shard in shards:
        counts.update(shard.counts)
        dropped.update(shard.join.counts)
        learned = Counter(shard.learner.counts)
        samples += learned.pop("samples", 0)
        dropped.update(learned)
    return {
        "namespace": namespace,
        "from": format_time(plan.start),
        "to": format_time(plan.end),
        "nodes": plan.nodes,
        "deleted_before": plan.deleted_before and format_time(plan.deleted_before),
        "read": sum(end - start for start, end in plan.spans.values()),
        "records": counts["usage_records"] + counts["power_records"],
        "samples": samples,
        "left_out": {name: counts[f"left out {name}"] for name in (OTHER_NODES, OTHER_TIMES)},
        "skipped": counts["skipped_messages"],
        "dropped": {name: dropped[name] for name in sorted(dropped) if dropped[name]},
        "dead": {topic: counts[f"dead {topic}"] for topic in (USAGE_TOPIC, POWER_TOPIC)},
        "models": _models(shards),
    }


def _models(shards: Sequence[Shard]) -> list[dict[str, Any]]:
    found = []
    for key, owners in owners_by_key(shards).items():
        models = [shard.learner.models[key] for shard in owners]
        model = models[0] if len(models) == 1 else models[0].merged(models[1:])
        found.append(
            {
                "model": key.slug,
                **asdict(key),
                "samples": model.samples,
                "components": errors_of(model),
            }
        )
    return sorted(found, key=lambda one: str(one["model"]))


def check_learned(report: Report, beside: str = "") -> None:
    """``WattstreamError`` says why nothing was learned, if so, and what there was ``beside``."""
    if report["models"]:
        return
    others = ", ".join(f"{count} of {name}" for name, count in report["left_out"].items() if count)
    raise WattstreamError(
        f"nothing was learned: of {report['read']} records that the log took around that time, "
        f"{report['records']} are of the nodes and the time that were asked for"
        + (f" ({others})" if others else "")
        + (", but no usage has power beside it" if report["records"] else "")
        + (f"; {beside}" if beside and not report["records"] else "")
    )
