"""``wattstream query`` against a real Prometheus."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from stream.analysis.evaluate import errors_of as errors_of_model
from stream.analysis.learned_samples import learn_samples
from stream.analysis.recording import LogRecording
from stream.collecting.collect import Collector
from stream.learning.pools import pool
from stream.log.memory import MemoryLog
from stream.log.protocol import Outgoing, TopicSpec
from stream.records import POWER_TOPIC, USAGE_TOPIC, encode, topic_of
from stream.sources.kepler import KeplerSource
from stream.sources.kepler_exposition import read_exposition
from stream.sources.kepler_mapping import SERIES, KeplerMapper
from stream.sources.simulated import SimulatedSource
from tests.prometheus.exporter import Asked, Exporter
from tests.prometheus.limited import LimitedPrometheus
from tests.prometheus.server import PrometheusServer, Scrape, fill, needed
from tests.server.commands.inside import Run
from tests.server.commands.processes import eventually

START: Final = 1_700_000_000
SECONDS: Final = 1800
EVERY: Final = 3
SPAN: Final = ("--from", START, "--to", START + SECONDS)
MOST_SAMPLES: Final = 3000
"""So many points the server looks at in one query: of ten workloads some 15 minutes."""

pytestmark = pytest.mark.slow


class Filled(NamedTuple):
    url: str
    scrapes: list[Scrape]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A Prometheus with limits that has scraped a simulated node for half an hour."""
    needed()
    folder = tmp_path_factory.mktemp("prometheus")
    source = SimulatedSource(
        interval_seconds=EVERY, start=START, speed=0, duration_seconds=SECONDS, seed=2
    )
    scrapes = fill(folder, source, EVERY)
    with PrometheusServer(folder, flags=[f"--query.max-samples={MOST_SAMPLES}"]) as server:
        yield Filled(server.url, scrapes)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def scraped_points(scrapes: list[Scrape]) -> Counter[str]:
    """How many points each metric must have: those of a scrape at the end itself are not asked."""
    counts: Counter[str] = Counter()
    for scrape in scrapes:
        if scrape.at < (START + SECONDS) * 1000:
            counts.update(line.partition("{")[0] for line in scrape.text.splitlines())
    return counts


def test_every_point_as_it_was_scraped_whatever_the_server_limits(
    wattstream: Run, prometheus: Filled, tmp_path: Path
) -> None:
    expected = scraped_points(prometheus.scrapes)
    found = wattstream("query", "-s", prometheus.url, *SPAN, "-o", "out.json", "--json")
    assert found.status == 0, found.err
    report = json.loads(found.out)
    answer = read(tmp_path / "out.json")
    counts = {name: sum(len(one["values"]) for one in each) for name, each in answer.items()}
    assert counts == expected
    assert report["points"] == expected.total()
    # More than one query for each metric: the server refused larger ones.
    assert report["queries"] > len(answer)
    for series in answer.values():
        for one in series:
            times = [at for at, _ in one["values"]]
            assert times == sorted(set(times))


def test_the_limit_of_eleven_thousand_steps(
    wattstream: Run, prometheus: Filled, tmp_path: Path
) -> None:
    words = ("query", "-s", prometheus.url, *SPAN, "--step", "0.1", "-o", "out.json", "--json")
    assert wattstream(*words).status == 0
    (joules, *_) = read(tmp_path / "out.json")["kepler_node_package_joules_total"]
    times = [at for at, _ in joules["values"]]
    assert len(times) > 11_000
    assert all(math.isclose(b - a, 0.1, abs_tol=1e-6) for a, b in itertools.pairwise(times))


def errors_of(report: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    keys = ("source", "output_type", "feature_group")
    return {
        (*(model[key] for key in keys), component): errors
        for model in report["models"]
        for component, errors in model["components"].items()
    }


@pytest.mark.parametrize(
    ("later_ms", "unpunctual_ms", "within"), [(0, 0.0, 1e-6), (1300, 2.0, 0.02)]
)
def test_trained_models_have_the_errors_of_the_live_stream(
    wattstream: Run,
    prometheus: Filled,
    tmp_path: Path,
    later_ms: int,
    unpunctual_ms: float,
    within: float,
) -> None:
    """The live stream: the same scrapes, through a log, learned by a worker.

    Or scrapes of its own, each later than Prometheus' own and about punctual, of the same pages,
    as Kepler 0.9 renews them whoever asks.
    """
    rng = random.Random(4)
    with MemoryLog() as log:
        log.create_topics([TopicSpec(topic, 1) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        mapper = KeplerMapper("sim-1")
        for scrape in prometheus.scrapes:
            if scrape.at >= (START + SECONDS) * 1000:
                continue
            families = read_exposition(scrape.text, "text/plain", SERIES).families
            at = scrape.at + later_ms + round(rng.gauss(0, unpunctual_ms))
            for record in mapper.records(families, at):
                topic = topic_of(record)
                log.append_many(topic, [Outgoing(record.node, encode(record))])
        samples = LogRecording(log).samples()
    live = learn_samples(samples, pool(("ridge",))).models
    assert wattstream("query", "-s", prometheus.url, *SPAN, "-o", "out.json").status == 0
    found = wattstream("train", "out.json", "--experts", "ridge", "--json")
    assert found.status == 0
    trained = errors_of(json.loads(found.out))
    compared = 0
    for key, model in live.items():
        for component, errors in errors_of_model(model).items():
            place = key.source, key.output_type, key.feature_group, component
            assert trained[place]["mae"] == pytest.approx(errors["mae"], rel=within)
            compared += 1
    assert compared > 20


def test_straight_into_the_topics(wattstream: Run, prometheus: Filled, tmp_path: Path) -> None:
    words = ("query", "-s", prometheus.url, "--to", START + SECONDS, "--interval", 300, "--topics")
    found = wattstream(*words, "--json")
    assert found.status == 0
    report = json.loads(found.out)
    assert report["file"] is None
    # A usage record and one of each of two meters.
    assert report["records"] == 3 * 300 / EVERY
    ends = {
        row["topic"]: row["end"]
        for row in json.loads(wattstream("topics", "--json").out)
        if row["end"]
    }
    assert ends == {"wattstream.usage": 300 / EVERY, "wattstream.power": 2 * 300 / EVERY}
    assert not (tmp_path / "output.json").exists()
    assert wattstream("learn", "--once", "--experts", "ridge").status == 0
    assert json.loads(wattstream("models", "--json").out)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--from", START + 9000, "--to", START + 9060), 1, "at other times it has 16, such as"),
        (("--from", START, "--to", START - 1), 2, "which is not before --end-time"),
        (("--metric-prefix", "scaphandre_", *SPAN), 1, "begins with 'scaphandre_', at any time"),
        (("--from", "soon"), 2, "soon"),
        (("--step", "0.0001", *SPAN), 2, "--step is 0.0001"),
        ((*SPAN, "-o", "no/out.json"), 2, "no/out.json cannot be written"),
        ((*SPAN, "-tm", "node_cpu_seconds_total"), 1, "has no metric 'node_cpu_seconds_total'"),
        ((*SPAN, "--token-file", "none"), 2, "--token-file is none"),
    ],
)
def test_what_cannot_be_is_one_line(
    wattstream: Run,
    prometheus: Filled,
    tmp_path: Path,
    words: tuple[object, ...],
    status: int,
    said: str,
) -> None:
    (tmp_path / "output.json").write_text("before")
    found = wattstream("query", "-s", prometheus.url, *words)
    assert found.status == status
    assert said in found.complaint
    assert (tmp_path / "output.json").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["output.json"]


def test_the_server_may_be_named_by_the_environment(
    wattstream: Run, prometheus: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROM_SERVER", prometheus.url)
    assert wattstream("query", "--to", START + SECONDS, "--interval", 30).status == 0


def series_without_a_node() -> LimitedPrometheus:
    def rising(rate: float) -> list[tuple[float, str]]:
        return [(START + EVERY * n, str(rate * n)) for n in range(40)]

    energy = {"package": "0", "source": "rapl-sysfs", "mode": "dynamic"}
    return LimitedPrometheus(
        {
            "kepler_container_bpf_cpu_time_ms_total": [({"container_id": "c"}, rising(900.0))],
            "kepler_node_package_joules_total": [(energy, rising(300.0))],
        },
        most_points=15,
    )


def test_series_that_name_no_node_are_said_and_can_be_named(wattstream: Run) -> None:
    with series_without_a_node().listening() as url:
        words = ("query", "-s", url, "--from", START, "--to", START + 120)
        found = wattstream(*words, "-o", "out.json")
        assert found.status == 0
        assert "2 series name no node" in found.err
        named = wattstream(*words, "--topics", "--node", "n7")
        assert (named.status, "as 80 records in the log" in named.out) == (0, True)
    unnamed = json.loads(wattstream("validate", "out.json", "--json").out)
    assert {series["node"] for series in unnamed["series"]} == {"unknown"}
    in_log = json.loads(wattstream("validate", "--json").out)
    assert {series["node"] for series in in_log["series"]} == {"n7"}
    assert in_log["samples"] == unnamed["samples"] == 39


def test_a_server_that_is_no_prometheus(wattstream: Run) -> None:
    there = series_without_a_node()
    there.refuse = lambda _request: httpx.Response(200, text="hello")
    with there.listening() as url:
        found = wattstream("query", "-s", url)
    assert (found.status, "is no Prometheus" in found.complaint) == (2, True)


def test_it_takes_what_prometheus_has_scraped(wattstream: Run, tmp_path: Path) -> None:
    needed()
    with (
        Exporter(seed=1) as exporter,
        PrometheusServer(tmp_path / "p", [exporter.address]) as server,
    ):

        def enough() -> bool:
            words = ("query", "-s", server.url, "--interval", 60, "-o", "out.json", "--json")
            found = wattstream(*words)
            if found.status:
                return False
            return (
                len(read(tmp_path / "out.json")["kepler_node_package_joules_total"][0]["values"])
                > 9
            )

        eventually(enough)
    found = wattstream("validate", "out.json", "--json")
    assert found.status == 0
    assert json.loads(found.out)["samples"] >= 8
    nodes = {series["node"] for series in json.loads(found.out)["series"]}
    # Kepler's own name of the node, not the address that Prometheus has scraped.
    assert nodes == {"sim-1"}


def unpunctual_ms(asked: list[Asked], every: float) -> list[float]:
    """By how much the requests of each client deviate from its own mean phase."""
    phases: dict[str, list[float]] = {}
    for one in asked:
        phases.setdefault(one.agent, []).append(one.at)
    return [
        1000 * statistics.pstdev([at - first - every * round((at - first) / every) for at in times])
        for times in phases.values()
        for first in times[:1]
    ]


@pytest.mark.soak
def test_query_and_train_find_the_errors_of_the_running_system(
    wattstream: Run, tmp_path: Path
) -> None:
    """A live source and Prometheus scrape the same exporter, each for itself, for minutes.

    Both at about the same moments, and the exporter renews its page half way between: else who
    looks when a page is renewed sees one too many, or one too few, and has other samples. So it is,
    too, where scrapes are late (decision 43): a machine that is too busy for it says so.
    """
    needed()
    every, seconds = 2.0, 200.0
    with (
        Exporter(begins=True) as exporter,
        PrometheusServer(tmp_path / "p", [exporter.address], "2s") as server,
        MemoryLog() as log,
    ):
        log.create_topics([TopicSpec(topic, 1) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        eventually(lambda: len(exporter.asked) >= 4)
        asked_at = exporter.asked[-1].at
        time.sleep(asked_at + every / 2 - time.time())
        # Meters that are read just before the page is renewed: it says of usage and of energy how
        # they are at one moment.
        node = SimulatedSource(interval_seconds=every, meter_seconds=every / 20, seed=3)
        exporter.begin(node)
        start = asked_at + 4 * every
        time.sleep(start - time.time())
        source = KeplerSource(exporter.address, interval_seconds=every)
        with Collector([source], log):
            time.sleep(seconds - every / 2)
        words = ("--from", f"{start - every / 2:.3f}", "--to", f"{start + seconds - every / 2:.3f}")
        assert wattstream("query", "-s", server.url, *words, "-o", "out.json").status == 0
        samples = LogRecording(log).samples()
    late = max(unpunctual_ms([one for one in exporter.asked if one.at > start], every))
    if late > 2.0:
        pytest.skip(f"scrapes were unpunctual by {late:.1f} ms: the machine is too busy")
    found = wattstream("train", "out.json", "--experts", "ridge", "--json")
    trained = errors_of(json.loads(found.out))
    live = learn_samples(samples, pool(("ridge",))).models
    assert len(samples) > seconds / every
    for key, model in live.items():
        for component, errors in errors_of_model(model).items():
            place = key.source, key.output_type, key.feature_group, component
            assert trained[place]["mae"] == pytest.approx(errors["mae"], rel=0.02), place
