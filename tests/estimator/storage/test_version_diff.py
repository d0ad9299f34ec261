from __future__ import annotations

from msgspec.structs import replace

from estimator.artifacts.artifact import Artifact, Line
from estimator.storage.version_diff import Difference, difference
from tests.estimator.artifacts.made import made_artifact


def test_the_same_do_not_differ() -> None:
    assert difference(made_artifact(), made_artifact()) == []


def test_errors_lines_and_ranges_that_differ() -> None:
    one, other = made_artifact(mae={"0": 2.0, "60": 3.0}), made_artifact(mae={"0": 2.0, "60": 4.5})
    feature = other.manifest.features[0]
    line = other.manifest.lines["dram"]
    lines = {
        **other.manifest.lines,
        "dram": Line(11.0, {**line.weights, feature: 80.0}, line.scales),
    }
    other.model.seen[1, 0] = 5000.0
    other.model.idle[1] = 7.0
    found = difference(one, Artifact(replace(other.manifest, lines=lines), other.model))
    assert found == [
        Difference("mae 60 s", "package", 3.0, 4.5, "W"),
        Difference("mae 60 s", "dram", 3.0, 4.5, "W"),
        Difference("most seen", feature, 4000.0, 5000.0, "/s"),
        Difference("line bias", "dram", 10.0, 11.0, "W"),
        Difference("line weight", f"dram {feature}", 0.0125, 0.02, "W s"),
        Difference("idle", "dram", 6.0, 7.0, "W"),
    ]


def test_what_only_one_has_is_missing_in_the_other() -> None:
    one, other = made_artifact(mae={"0": 2.0}), made_artifact(mae={"0": None}, with_lines=False)
    found = {(row.what, row.of): (row.a, row.b) for row in difference(one, other)}
    assert found["mae 0 s", "package"] == (2.0, None)
    assert found["line bias", "dram"] == (10.0, None)
