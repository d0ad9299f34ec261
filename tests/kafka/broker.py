"""Brokers in KRaft mode: formatted, started, waited for, killed, wiped."""

from __future__ import annotations

import base64
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stream.log.kafka_clients import open_client
from tests.kafka import jars

START_SECONDS: Final = 60.0
_JVM: Final = ("-Xms64m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")

# What the process runs first: the kernel then ends it with us, however we end (Linux only).
_END_WITH_US: Final = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
)

# Few threads, few partitions of its own, and nothing that waits: it serves one machine.
_PROPERTIES: Final = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # A learner that was killed is missed soon.
    "group.min.session.timeout.ms": "500",
    # A broker that was killed may come back when its session has run out.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
}


_PORTS: Final = range(12_000, 27_000)
"""Linux gives clients ports above these: none takes one between its choice and its use."""
_chosen = itertools.count(os.getpid() * 977)
"""Processes that run tests beside one another begin at places of their own."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody uses, others at each call."""
    found: list[int] = []
    for number in itertools.islice(_chosen, len(_PORTS)):
        port = _PORTS[number % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} of the ports from {_PORTS[0]} on are free")


class Broker:
    """One broker, a controller at the same time, with all it keeps in ``folder``.

    ``quick`` makes the JVM start sooner and run slower; ``ends_with_us`` makes it end when this
    process does, even if that is killed. ``properties`` are Kafka's own and win over these;
    ``scram`` are the passwords of the users that it knows from the beginning.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        controller_port: int,
        *,
        node_id: int = 1,
        voters: Mapping[int, int] | None = None,
        cluster_id: str = "",
        heap_mib: int = 320,
        quick: bool = True,
        ends_with_us: bool = True,
        properties: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = port
        self.node_id = node_id
        self._cluster_id = cluster_id or new_cluster_id()
        self._scram = [
            f"{mechanism}=[name={user},password={password}]"
            for user, password in (scram or {}).items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        shim = ends_with_us and sys.platform == "linux"
        self._shim = [sys.executable, "-c", _END_WITH_US] if shim else []
        self._flags = [f"-Xmx{heap_mib}m", *(["-XX:TieredStopAtLevel=1"] if quick else [])]
        voters = voters or {node_id: controller_port}
        listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"
        replicas = str(min(3, len(voters)))
        self._properties = {
            **_PROPERTIES,
            "node.id": str(node_id),
            "controller.quorum.voters": ",".join(
                f"{voter}@127.0.0.1:{at}" for voter, at in voters.items()
            ),
            "listeners": listeners,
            "advertised.listeners": listeners.split(",")[0],
            "log.dirs": str(folder / "data"),
            "default.replication.factor": replicas,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": "1",
            **(properties or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients connect: ``host:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The broker as a log's URL."""
        return f"kafka://{self.address}"

    def launch(self) -> None:
        """Start the process, with the data that are there; formats the folder if it is new."""
        config = self.folder / "server.properties"
        if not (self.folder / "data" / "meta.properties").is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            config.write_text("".join(f"{k}={v}\n" for k, v in self._properties.items()))
            tool = ["kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", str(config)]
            tool += [word for user in self._scram for word in ("--add-scram", user)]
            done = subprocess.run(self._java(tool), capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"cannot format {self.folder}: {done.stdout}{done.stderr}")
        with (self.folder / "broker.log").open("ab") as said:
            self.process = subprocess.Popen(
                [*self._shim, *self._java(["kafka.Kafka", str(config)])],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def start(self) -> Self:
        """Launch it and wait until it answers."""
        self.launch()
        self.wait()
        return self

    def wait(self) -> None:
        """Wait until it answers; `RuntimeError` says what it printed."""
        wait_for([self])

    def kill(self) -> None:
        """End it at once (SIGKILL); its data stay."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in an orderly way; its data stay."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it hang: connections stay open and nothing is answered, until ``thaw``."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """End it and delete all it kept."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self) -> str:
        """The end of what the broker has printed."""
        return (self.folder / "broker.log").read_text(errors="replace")[-2000:]

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def _java(self, arguments: Sequence[str]) -> list[str]:
        return [jars.java(), *_JVM, *self._flags, "-cp", f"{jars.libs()}/*", *arguments]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.wipe()


class Cluster:
    """Several brokers that form one cluster; as a context manager it is wiped at the end."""

    def __init__(self, folder: Path, count: int = 3, **options: object) -> None:
        ports = free_ports(2 * count)
        voters = {1 + number: ports[2 * number + 1] for number in range(count)}
        cluster_id = new_cluster_id()
        self.brokers = [
            Broker(
                folder / str(node_id),
                ports[2 * (node_id - 1)],
                voters[node_id],
                node_id=node_id,
                voters=voters,
                cluster_id=cluster_id,
                **options,  # type: ignore[arg-type]  # passed on as they came
            )
            for node_id in voters
        ]

    @property
    def url(self) -> str:
        """The cluster as a log's URL."""
        return "kafka://" + ",".join(broker.address for broker in self.brokers)

    def __enter__(self) -> Self:
        try:
            for broker in self.brokers:
                broker.launch()
            wait_for(self.brokers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers:
            broker.wipe()


def new_cluster_id() -> str:
    """A cluster's name as Kafka wants it: a random UUID in base64, none that looks like a flag."""
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):
            return name


def wait_for(brokers: Sequence[Broker], seconds: float = START_SECONDS) -> None:
    """Wait until all of them are in the cluster; ``RuntimeError`` says what one printed."""
    deadline = time.monotonic() + seconds
    while True:
        for broker in brokers:
            if broker.process is None or broker.process.poll() is not None:
                raise RuntimeError(f"the broker at {broker.address} has ended:\n{broker.said()}")
        try:
            if all(_members(broker) >= len(brokers) for broker in brokers):
                return
            reason = "the cluster is not complete"
        except (KafkaError, OSError) as error:
            reason = f"{error}"
        if time.monotonic() > deadline:
            said = "\n".join(broker.said() for broker in brokers)
            raise RuntimeError(f"no cluster after {seconds:g} s: {reason}\n{said}")
        time.sleep(0.05)


def _members(broker: Broker) -> int:
    """How many brokers this one knows to be at work."""
    # Asked first because Kafka's client leaves the sockets of failed attempts to the collector.
    socket.create_connection(("127.0.0.1", broker.port), 1).close()
    with open_client(
        KafkaAdminClient,
        bootstrap_servers=broker.address,
        bootstrap_timeout_ms=2000,
        reconnect_backoff_max_ms=100,
    ) as admin:
        return sum(not one.get("is_fenced") for one in admin.describe_cluster()["brokers"])


def alive(pid: int, folder: Path) -> bool:
    """Whether that process is a broker of this folder, and not another that got its number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(str(folder)) in command
