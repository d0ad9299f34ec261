from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from estimator.errors import MisuseError, WattstreamError
from stream.analysis.prometheus_api import Prometheus, TooMuchError
from stream.analysis.prometheus_query import Asked, Taken, asked_span, take
from tests.prometheus.limited import LimitedPrometheus, Points

START_MS = 1_700_000_000_000
PACKAGE = "kepler_node_package_joules_total"
CPU = "kepler_container_bpf_cpu_time_ms_total"


def points(count: int, every_ms: int = 1000, first_ms: int = START_MS) -> Points:
    return [((first_ms + n * every_ms) / 1000, str(n)) for n in range(count)]


def prometheus(there: LimitedPrometheus) -> Prometheus:
    return Prometheus("prom:9090", client=there.client(), sleep=lambda _seconds: None)


def taken(there: LimitedPrometheus, asked: Asked, **more: Any) -> tuple[Taken | None, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.json"
        found = take(prometheus(there), asked, path, **more)
        assert list(path.parent.iterdir()) == ([path] if found else [])
        return found, json.loads(path.read_bytes()) if found else None


def two_nodes(count: int) -> LimitedPrometheus:
    return LimitedPrometheus(
        {
            PACKAGE: [({"instance": name}, points(count)) for name in ("n1", "n2")],
            CPU: [({"instance": "n1", "container_id": "c"}, points(count // 2))],
            "kepler_exporter_build_info": [({"instance": "n1"}, points(count))],
            "up": [({}, points(count))],
        }
    )


def test_it_takes_what_is_learned_from_as_it_was_scraped() -> None:
    found, written = taken(two_nodes(10), Asked(START_MS, START_MS + 10_000))
    assert found is not None
    assert found.series == {CPU: 1, PACKAGE: 2}
    assert (found.points, found.nameless, found.queries) == (25, 0, 2)
    assert list(written) == [CPU, PACKAGE]
    labels = {"__name__": PACKAGE, "instance": "n1"}
    assert written[PACKAGE][0] == {"metric": labels, "values": [list(p) for p in points(10)]}


@example(most=30, chunk=100.0, begin=1, length=1001, every=1001)  # one just before the start
@example(most=1, chunk=1.0, begin=1, length=1000, every=1000)  # at both ends of a second
@example(most=30, chunk=1.0, begin=401, length=10, every=400)
@given(
    most=st.integers(1, 30),
    chunk=st.floats(1, 100),
    begin=st.integers(-3000, 20_000),
    length=st.integers(1, 40_000),
    every=st.integers(400, 3000),
)
def test_however_it_is_cut_up_nothing_is_lost_and_nothing_is_twice(
    most: int, chunk: float, begin: int, length: int, every: int
) -> None:
    series = points(20, every)
    there = LimitedPrometheus({PACKAGE: [({"instance": "n1"}, series)]}, most)
    start, end = START_MS + begin, START_MS + begin + length
    asked = Asked(start, end, chunk_seconds=chunk)
    expected = [list(point) for point in series if start <= round(point[0] * 1000) < end]
    if not expected:
        with pytest.raises(WattstreamError, match=r"has no metric"):
            taken(there, asked)
        return
    try:
        _, written = taken(there, asked)
    except TooMuchError:
        # Some points may lie in a second, its ends included, and less than one is not asked for.
        assert most < 4
        assert every <= 1000
        return
    assert written[PACKAGE][0]["values"] == expected


@given(most=st.integers(1, 30), chunk=st.floats(1, 100), step=st.sampled_from([0.5, 1.0, 3.0]))
def test_steps_are_the_same_however_they_are_cut_up(most: int, chunk: float, step: float) -> None:
    whole = LimitedPrometheus({PACKAGE: [({"instance": "n1"}, points(20))]})
    cut = LimitedPrometheus(whole.series, most)
    asked = Asked(START_MS, START_MS + 20_000, step, 1e6)
    _, expected = taken(whole, asked)
    _, written = taken(cut, asked._replace(chunk_seconds=chunk))
    assert written == expected
    assert len(written[PACKAGE][0]["values"]) == math.ceil(20 / step)


def test_how_much_is_too_much_is_learned_once() -> None:
    there = two_nodes(100)
    there.most_points = 30
    found, _ = taken(there, Asked(START_MS, START_MS + 100_000))
    assert found is not None
    # 100 s and 50 s are refused once, then there are parts of 25 s: 4 of each metric.
    assert found.queries == 2 + 4 + 4


def test_progress_goes_from_nothing_to_all() -> None:
    seen: list[tuple[int, int]] = []
    asked = Asked(START_MS, START_MS + 100_000, chunk_seconds=10)
    taken(two_nodes(100), asked, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(10 * n, 200) for n in range(1, 21)]


def test_a_stop_leaves_nothing_behind() -> None:
    stop = threading.Event()
    asked = Asked(START_MS, START_MS + 100_000, chunk_seconds=10)
    found, _ = taken(two_nodes(100), asked, progress=lambda *_: stop.set(), stop=stop)
    assert found is None


def test_a_failure_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    there = two_nodes(100)
    there.refuse = lambda request: (
        httpx.Response(403) if "node_package" in request.url.params.get("query", "") else None
    )
    path = tmp_path / "out.json"
    path.write_text("before")
    with pytest.raises(WattstreamError, match=r"403 Forbidden"):
        take(prometheus(there), Asked(START_MS, START_MS + 100_000), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_no_part_of_is_small_enough_is_refused_in_the_servers_words() -> None:
    there = two_nodes(10)
    there.most_points = 0
    with pytest.raises(TooMuchError, match=r"refused: too many points"):
        taken(there, Asked(START_MS, START_MS + 10_000))


def test_a_time_without_data_is_said_with_what_there_is() -> None:
    late = START_MS + 1_000_000
    with pytest.raises(WattstreamError) as refused:
        taken(two_nodes(10), Asked(late, late + 1000))
    assert str(refused.value) == (
        "http://prom:9090 has no metric that begins with 'kepler_' from 2023-11-14T22:30:00Z to "
        "2023-11-14T22:30:01Z; at other times it has 3, such as "
        "kepler_container_bpf_cpu_time_ms_total"
    )
    with pytest.raises(WattstreamError, match=r"begins with 'scaphandre_', at any time"):
        taken(two_nodes(10), Asked(START_MS, late, prefix="scaphandre_"))


def test_metrics_that_nothing_learns_from_are_taken_by_wish() -> None:
    there = LimitedPrometheus(
        {"kepler_vm_joules_total": [({}, points(3))], "up": [({}, points(3))]}
    )
    asked = Asked(START_MS, START_MS + 10_000)
    with pytest.raises(WattstreamError, match=r"has 1 metrics .* none that is learned from; --all"):
        taken(there, asked)
    found, _ = taken(there, asked._replace(everything=True))
    assert found is not None
    assert (found.series, found.nameless) == ({"kepler_vm_joules_total": 1}, 1)
    found, _ = taken(there, asked._replace(more=("up",)))
    assert found is not None
    assert found.series == {"up": 1}
    with pytest.raises(WattstreamError, match=r"has no metric 'nope'"):
        taken(there, asked._replace(more=("up", "nope")))


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"cannot be written: No such file or directory"):
        take(prometheus(two_nodes(3)), Asked(START_MS, START_MS + 9000), tmp_path / "no" / "a.json")


def test_spans() -> None:
    now = START_MS / 1000
    assert asked_span("", "", 300, now) == (START_MS - 300_000, START_MS)
    assert asked_span("-1h", "", 300, now) == (START_MS - 3_600_000, START_MS)
    assert asked_span("", "-1h", 60, now) == (START_MS - 3_660_000, START_MS - 3_600_000)
    assert asked_span("-2h", "-1h", 60, now) == (START_MS - 7_200_000, START_MS - 3_600_000)
    with pytest.raises(MisuseError, match=r"--start-time is now .* is not before --end-time, -1h"):
        asked_span("now", "-1h", 300, now)
    with pytest.raises(MisuseError):
        asked_span("yesterday", "", 300, now)
