"""A real Prometheus as a process of this machine: with what it scrapes, or with a past made up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from stream.records import PowerRecord
from stream.sources.simulated import SimulatedSource
from tests.kafka.broker import free_ports
from tests.prometheus.page import KeplerPage
from tests.server.commands.processes import Program, answers

PROGRAM = "prometheus"


def needed() -> None:
    """Skip the test where there is no Prometheus; in CI there must be one."""
    if shutil.which(PROGRAM) is not None and shutil.which("promtool") is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{PROGRAM} is not installed, and CI is true")
    pytest.skip(f"{PROGRAM} is not installed (Debian's package of that name)")


class PrometheusServer:
    """Scrapes some addresses; keeps its data in a folder; ends with the context."""

    def __init__(
        self,
        folder: Path,
        targets: Sequence[str] = (),
        every: str = "1s",
        flags: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self.folder = folder.absolute()
        self._port = port or free_ports(1)[0]
        self._flags = flags
        folder.mkdir(parents=True, exist_ok=True)
        static = ", ".join(f'"{target}"' for target in targets)
        (folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {every}, scrape_timeout: {every}}}\n"
            "scrape_configs:\n"
            f"  - {{job_name: kepler, static_configs: [{{targets: [{static}]}}]}}\n"
        )

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        words = [
            PROGRAM,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{self._port}",
            *self._flags,
        ]
        self.program = Program(words, self.folder / "said", self.folder)
        self.program.wait_until(lambda: answers(f"{self.url}/-/ready"))
        return self

    def __exit__(self, *_: object) -> None:
        self.program.__exit__()


class Scrape(NamedTuple):
    """A page as it was scraped, at that Unix time in ms."""

    at: int
    text: str


def fill(
    folder: Path,
    source: SimulatedSource,
    every_seconds: float,
    address: str = "127.0.0.1:9102",
    page: KeplerPage | None = None,
) -> list[Scrape]:
    """Make the data folder of a Prometheus that has scraped the source from its start until now.

    As it does it, the node's own ``instance`` becomes ``exported_instance``. The pages scraped are
    returned.
    """
    page, found = page or KeplerPage(), dict[str, list[str]]()
    scrapes: list[Scrape] = []
    due = 0
    while records := source.poll():
        for record in sorted(records, key=lambda one: one.at):
            page.add([record])
            if record.at < due or isinstance(record, PowerRecord):
                continue
            due = record.at + round(every_seconds * 1000) - 1
            scrapes.append(Scrape(record.at, page.text()))
            for line in page.lines():
                own = line.labels.pop("instance", None)
                more = {"instance": address, "job": "kepler"}
                more |= {"exported_instance": own} if own else {}
                text = f"{line.text(**more)} {line.value!r} {record.at / 1000:.3f}\n"
                found.setdefault(line.name, []).append(text)
    folder.mkdir(parents=True, exist_ok=True)
    recorded = folder / "recorded.om"
    with recorded.open("w") as file:
        for name in sorted(found):
            file.writelines(found[name])
        file.write("# EOF\n")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", recorded, folder / "data"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    recorded.unlink()
    return scrapes
