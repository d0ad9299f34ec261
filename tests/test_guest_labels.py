"""From a host's Kepler and a guest's /proc to a guest that knows what it draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from estimator.choosing.catalog import Catalog
from estimator.export.estimating import NodeEstimator
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from estimator.system.discovery import discover_machine
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.shard import Shard, read
from stream.log.protocol import Message
from stream.records import POWER_TOPIC, USAGE_TOPIC, encode, topic_of
from stream.sources.kepler import KeplerSource
from stream.sources.procfs import ProcSource
from stream.sources.protocol import Record
from tests.estimator.export.host import Answering, answering

START = 1_700_000_000.0
GUEST = "4c4c4544-0042-3510-8053-b2c04f4d3533"
LOADS = (0.5, 1.5, 3.0, 0.2, 2.2) * 12
"""Processors that the guest keeps busy, interval by interval."""
WATTS = 8.0
"""What each of them draws, and half of that of dram."""
AHEAD = 61.0
"""The guest's clock is ahead by so many seconds."""


class Guest:
    """The files of a guest with four processors, as its kernel would show them."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sysfs = root / "proc", root / "sys"
        self.proc.mkdir()
        self.sysfs.mkdir()
        cpu = "processor\t: {}\nmodel name\t: Made Up 1\nflags\t\t: fpu hypervisor\n\n"
        (self.proc / "cpuinfo").write_text("".join(cpu.format(i) for i in range(4)))
        self.ticks = 0.0
        self.work(0.0)

    def work(self, busy: float, seconds: float = 3.0) -> None:
        self.ticks += 100 * busy * seconds
        (self.proc / "stat").write_text(
            f"cpu  {self.ticks:.0f} 0 0 4000 0 0 0 0\nctxt {self.ticks:.0f}\nprocs_running 1\n"
        )


class Course:
    """What a learner makes of records as they come: each when the log has it."""

    def __init__(self) -> None:
        self.shard = Shard(0, pool(["ridge"]), lambda message, reason: pytest.fail(reason))
        self._offsets = {USAGE_TOPIC: 0, POWER_TOPIC: 0}

    def take(self, records: list[Record] | None, now: float) -> None:
        for record in records or []:
            topic = topic_of(record)
            offset, at = self._offsets[topic], round(now * 1000) + 15
            self.shard.process(read(Message(topic, 0, offset, at, record.node, encode(record))))
            self._offsets[topic] += 1


def page(joules: float) -> str:
    """What the host's Kepler says: itself, another guest, and ours."""
    node = '{path="/sys/class/powercap/intel-rapl:0",zone="package"}'
    vm = 'hypervisor="kvm",state="running",vm_name="g"'
    return (
        f"kepler_node_cpu_active_joules_total{node} {2 * joules}\n"
        f"kepler_node_cpu_idle_joules_total{node} {9 * joules}\n"
        f'kepler_process_cpu_seconds_total{{pid="7",vm_id="{GUEST}"}} {joules}\n'
        f'kepler_vm_cpu_joules_total{{{vm},vm_id="{GUEST}",zone="package"}} {joules}\n'
        f'kepler_vm_cpu_joules_total{{{vm},vm_id="{GUEST}",zone="dram"}} {joules / 2}\n'
        f'kepler_vm_cpu_joules_total{{{vm},vm_id="other",zone="package"}} {joules}\n'
    )


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def learned(guest: Guest, kepler: Answering) -> Catalog:
    """The models after an hour's course of host and guest, published."""
    now, joules = [START], 100.0
    host = KeplerSource(kepler.url, "host-1", clock=lambda: now[0])
    inside = ProcSource(
        GUEST, guest.proc, guest.sysfs, ticks_per_second=100, clock=lambda: now[0] + AHEAD
    )
    course = Course()
    for busy in LOADS:
        now[0] += 3.0
        joules += WATTS * busy * 3.0
        guest.work(busy)
        kepler.text = page(joules)
        course.take(host.poll(), now[0])
        course.take(inside.poll(), now[0])
    host.close()
    course.shard.learner.flush()
    models = ModelStore(InMemoryStore())
    Publisher(models).publish(course.shard)
    catalog = Catalog(models)
    catalog.refresh()
    return catalog


def test_a_host_teaches_what_its_guest_draws(guest: Guest) -> None:
    with answering() as kepler:
        catalog = learned(guest, kepler)
    machine = discover_machine(guest.proc, guest.sysfs)
    keys = {entry.manifest.key for entry in catalog.entries}
    assert (machine.node_type, "hypervisor") in {(key.node_type, key.source) for key in keys}
    clock = START + 3.0 * len(LOADS)
    estimator = NodeEstimator(catalog, machine, guest=True, clock=lambda: clock)
    for busy in (0.3, 1.0, 2.8):
        found = estimator.estimate({"bpf_cpu_time_ms": 1000.0 * busy})
        assert found is not None
        assert found.entry.manifest.key.source == "hypervisor"
        watts = {zone: sum(power) for zone, power in found.power.items()}
        assert watts["package"] == pytest.approx(WATTS * busy, rel=0.05)
        assert watts["dram"] == pytest.approx(WATTS * busy / 2, rel=0.05)
        assert found.trust["package"].score > 0.7


def test_a_guest_of_which_no_host_speaks_is_served_by_that_model_too(guest: Guest) -> None:
    with answering() as kepler:
        catalog = learned(guest, kepler)
    unlabelled = discover_machine(guest.proc, guest.sysfs)
    estimator = NodeEstimator(catalog, unlabelled, guest=True, clock=lambda: START)
    found = estimator.estimate({"bpf_cpu_time_ms": 2000.0, "context_switches": 5.0})
    assert found is not None
    assert sum(found.power["package"]) == pytest.approx(2 * WATTS, rel=0.05)
    metal = NodeEstimator(catalog, unlabelled, clock=lambda: START)
    whole = metal.estimate({"bpf_cpu_time_ms": 2000.0})
    assert whole is not None
    assert whole.entry.manifest.key.source == "rapl-sysfs"  # the host's: no guest's ever
