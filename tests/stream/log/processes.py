"""What other processes do to the log of a test: ``python -m tests.stream.log.processes ROLE ...``.

A writer says each batch's number once it has been acknowledged.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from estimator.errors import LogUnavailableError
from stream.log import sqlite_partition
from stream.log.protocol import Outgoing, TopicSpec
from stream.log.sqlite import SqliteLog

TOPIC = TopicSpec("shared", 3)
KEYS = 7


def start(role: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process in that role; its standard output is a pipe of lines."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, role, *map(str, arguments)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )


def batch_size(batch: int) -> int:
    return 1 + batch * 7 % 40


def batch_of(writer: str, batch: int) -> list[Outgoing]:
    """Messages over all partitions, each naming its batch, some larger than a page."""
    return [
        Outgoing(f"{writer}-{row % KEYS}", f"{batch} {row} ".encode().ljust(row * 400 + 20, b"."))
        for row in range(batch_size(batch))
    ]


def write(path: str, writer: str, first: int, stop: int) -> None:
    """Append the batches one by one."""
    with SqliteLog(path, busy_seconds=60) as log:
        log.create_topics([TOPIC])
        for batch in range(first, stop):
            log.append_many(TOPIC.name, batch_of(writer, batch))
            print(batch, flush=True)


def read(path: str, count: int) -> None:
    """Print writer, batch and row of so many messages, as they come."""
    with SqliteLog(path, busy_seconds=60) as log:
        log.create_topics([TOPIC])
        with closing(log.reader(log.begin_offsets(TOPIC.name))) as reader:
            while count > 0:
                for message in reader.poll(100, 5):
                    batch, row, _ = message.value.split(b" ")
                    print(message.key.split("-")[0], int(batch), int(row))
                    count -= 1


def die_in_the_middle(path: str, writer: str, batch: int) -> None:
    """Be killed after one partition's share of the batch is written and before the next."""
    append = sqlite_partition.append

    def append_and_die(*arguments: object) -> None:
        append(*arguments)  # type: ignore[arg-type]  # passed on as they came
        os.kill(os.getpid(), signal.SIGKILL)

    with SqliteLog(path) as log, patch.object(sqlite_partition, "append", append_and_die):
        log.append_many(TOPIC.name, batch_of(writer, batch))


def fill_the_disk(path: str, writer: str) -> None:
    """Append until files may not grow, print why it ended, and append again once they may."""
    with SqliteLog(path) as log:
        log.create_topics([TOPIC])
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
        batch = 0
        try:
            while True:
                log.append_many(TOPIC.name, batch_of(writer, batch))
                print(batch)
                batch += 1
        except LogUnavailableError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.append_many(TOPIC.name, batch_of(writer, batch))
        print(batch)


def open_as_nobody(path: str) -> None:
    """Print why a log cannot be opened by a user who may write nothing."""
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        SqliteLog(path)
    except LogUnavailableError as error:
        print(error)


def main(role: str, *arguments: str) -> None:
    if role == "write":
        path, writer, first, stop = arguments
        write(path, writer, int(first), int(stop))
    elif role == "read":
        path, count = arguments
        read(path, int(count))
    elif role == "die":
        path, writer, batch = arguments
        die_in_the_middle(path, writer, int(batch))
    elif role == "fill":
        fill_the_disk(*arguments)
    elif role == "open":
        open_as_nobody(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
