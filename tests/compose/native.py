"""The services of the compose file as processes of this machine, on other ports and folders.

Arguments and environment are those of the file and the images. Kafka's image turns its environment
into settings and formats the disk by a program in Kafka's own jars, which runs here too. Prometheus
is the one that is installed here, with the file's configuration; Grafana and Kepler are not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.compose.project import FILE, Service, services
from tests.kafka import jars
from tests.kafka.broker import Broker, free_ports
from tests.server.commands.processes import MAIN, Program, answers

_PASSED_ON = ("PATH", "HOME", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_START")


class Native:
    """Starts all services in order; at the end those that are left are killed."""

    def __init__(self, folder: Path, sockets: Path, given: Mapping[str, str]) -> None:
        self.services = {
            name: service
            for name, service in services(given).items()
            if service.is_built and not service.profiles
        }
        self.folder, self.sockets = folder, sockets
        self._others = services(given)
        broker, controller, http, trainer, prometheus, *metrics = free_ports(5 + len(self.services))
        self.http = f"http://127.0.0.1:{http}"
        self.trainer = f"http://127.0.0.1:{trainer}"
        self.prometheus = f"http://127.0.0.1:{prometheus}"
        self._kafka = Broker(folder / "kafka", broker, controller)
        self._metrics = dict(zip(self.services, metrics, strict=True))
        self._moved = {
            "kafka:9092": f"127.0.0.1:{broker}",
            "kafka:9093": f"127.0.0.1:{controller}",
            "://:9092": f"://127.0.0.1:{broker}",
            "://:9093": f"://127.0.0.1:{controller}",
            "server:8100": f"127.0.0.1:{http}",
            "0.0.0.0:8100": f"127.0.0.1:{http}",
            "127.0.0.1:8100": f"127.0.0.1:{http}",
            "trainer:8102": f"127.0.0.1:{trainer}",
            "0.0.0.0:8102": f"127.0.0.1:{trainer}",
            "127.0.0.1:8102": f"127.0.0.1:{trainer}",
            "/var/lib/kafka/data": str(folder / "kafka" / "data"),
            "file:///store": f"file://{folder}/store",
            "/run/wattstream": str(sockets),
            "0.0.0.0:9090": f"127.0.0.1:{prometheus}",
            "127.0.0.1:9090": f"127.0.0.1:{prometheus}",
            "/etc/prometheus": str(folder / "prometheus" / "etc"),
            "path=/prometheus": f"path={folder}/prometheus/data",
            **{f"{name}:9464": f"127.0.0.1:{self._metrics[name]}" for name in self.services},
        }
        self.programs: dict[str, Program] = {}

    def start(self, service: Service) -> None:
        """Start one service that is no broker."""
        assert service.words[0] == "wattstream"
        words = [sys.executable, *MAIN, *self._words(service, service.words[1:])]
        self._start(service.name, words, self._environment(service))

    def start_prometheus(self, seconds: float) -> None:
        """Start Prometheus; it scrapes and evaluates as often as that instead of as told."""
        program = shutil.which("prometheus")
        assert program is not None, "callers ask for need_prometheus"
        service = self._others["prometheus"]
        to = self.folder / "prometheus" / "etc"
        shutil.copytree(FILE.parent / "prometheus", to)
        config = to / "prometheus.yml"
        text = self._moved_for(service, config.read_text())
        text, count = re.subn(r"(_interval: )15s", rf"\g<1>{seconds:g}s", text)
        assert count == 2
        config.write_text(text)
        self._start("prometheus", [program, *self._words(service, service.words)], None)

    def _start(self, name: str, words: list[str], environment: dict[str, str] | None) -> None:
        said = self.folder / f"{name}.err"
        self.programs[name] = Program(words, said, self.folder, environment)

    def is_healthy(self, name: str) -> bool:
        """Run the service's health check, as the engine would."""
        service = self._others[name]
        how, program, *words = self._words(service, service.health)
        if program == "wget":  # which is in that image
            return answers(words[-1])
        assert (how, program) == ("CMD", "python")
        done = subprocess.run(
            [sys.executable, *words],
            env=self._environment(service),
            capture_output=True,
        )
        return done.returncode == 0

    def metrics_url(self, name: str) -> str:
        """Where a service shows its metrics."""
        return f"http://127.0.0.1:{self._metrics[name]}"

    def __enter__(self) -> Self:
        try:
            self._start_kafka(self._others["kafka"])
            for service in self.services.values():
                assert set(service.after) <= {"kafka"}
                self.start(service)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs.values():
            program.__exit__()
        self._kafka.wipe()

    def _start_kafka(self, service: Service) -> None:
        """As the image does it: settings from the environment, a formatted disk, the broker."""
        folder = self.folder / "kafka"
        for name in ("defaults", "mounted", "final"):
            (folder / name).mkdir(parents=True)
        for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            (folder / "defaults" / name).touch()
        words = ["kafka.docker.KafkaDockerWrapper", "setup", "--default-configs-dir"]
        words += [str(folder / "defaults"), "--mounted-configs-dir", str(folder / "mounted")]
        words += ["--final-configs-dir", str(folder / "final")]
        done = subprocess.run(
            [jars.java(), "-cp", f"{jars.libs()}/*", *words],
            env=self._environment(service),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert (folder / "data" / "meta.properties").is_file()
        (folder / "final" / "server.properties").rename(folder / "server.properties")
        self._kafka.start()

    def _environment(self, service: Service) -> dict[str, str]:
        found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        for name, value in service.environment.items():
            if name == "PATH":
                continue  # there is no such folder here
            found[name] = self._moved_for(service, value)
        if "WATTSTREAM_METRICS_PORT" in found:
            found["WATTSTREAM_METRICS_PORT"] = str(self._metrics[service.name])
        if "WATTSTREAM_DATA" in found:
            found["WATTSTREAM_DATA"] = str(self.folder / f"{service.name}-data")
        return found

    def _words(self, service: Service, words: tuple[str, ...]) -> list[str]:
        return [self._moved_for(service, word) for word in words]

    def _moved_for(self, service: Service, text: str) -> str:
        for here, there in self._moved.items():
            text = text.replace(here, there)
        own = self._metrics.get(service.name)
        return text if own is None else text.replace("127.0.0.1:9464", f"127.0.0.1:{own}")


def wait_until_healthy(native: Native, name: str, patience_seconds: float = 240.0) -> None:
    """Return when the service's health check passes; fail with what it says if it ends first."""
    deadline = time.monotonic() + patience_seconds
    while not native.is_healthy(name):
        for each, program in native.programs.items():
            assert program.is_running, f"{each} has ended: {program.said}"
        said = native.programs[name].said
        assert time.monotonic() < deadline, f"{name} is not healthy: {said}"
        time.sleep(2)  # as often as the file says: each check is a process of its own
