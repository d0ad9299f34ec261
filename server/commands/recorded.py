"""What the analyst's commands read: a file if one is named, else the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from estimator.errors import MisuseError
from estimator.settings import KAFKA_SETTINGS, Settings

if TYPE_CHECKING:
    from stream.analysis.recording import Recording

READING: Final = ("data", "log", "node", "lateness", *KAFKA_SETTINGS)
"""The settings of every command that reads what was recorded."""

File = Annotated[
    Path | None,
    typer.Argument(help="Trace (.csv) or Prometheus answer (.json); without: the log"),
]
Start = Annotated[
    str | None, typer.Option("--from", help="First event time: ISO 8601, Unix seconds, -7d")
]
End = Annotated[str | None, typer.Option("--to", help="Event time to stop before, said alike")]
Nodes = Annotated[
    list[str] | None,
    typer.Option(help="Names or patterns (worker-*), separated by commas; without: all nodes"),
]
EnergySource = Annotated[
    str | None, typer.Option("--energy-source", "-e", help="Only this one's power; else all")
]
FeatureGroup = Annotated[
    str | None, typer.Option("--feature-group", "-fg", help="Only its features; else all")
]
TableFile = Annotated[Path, typer.Option("--output", "-o", help="File to write, .csv or .parquet")]


@contextmanager
def recording_of(
    settings: Settings,
    file: Path | None,
    start: str | None,
    end: str | None,
    nodes: Sequence[str] | None,
    features: Sequence[str] | None = None,
) -> Iterator[Recording]:
    """The recording that is meant; the log is closed at the end."""
    from stream.analysis.recording import FileRecording, LogRecording, Wanted

    wanted = Wanted(start, end, _patterns(nodes))
    if file is not None:
        yield FileRecording(
            file,
            wanted,
            node=settings.node or None,
            features=features,
            lateness_seconds=settings.lateness,
        )
        return
    from server import assembly

    with assembly.log_of(settings) as log:
        yield LogRecording(log, wanted, lateness_seconds=settings.lateness)


def listed(flag: str, words: str | None) -> list[str] | None:
    """The names that a flag lists, each once; None if it was not given."""
    if words is None:
        return None
    found = [word.strip() for word in words.split(",") if word.strip()]
    if not found:
        raise MisuseError(f"{flag} is {words!r}: it names nothing")
    return list(dict.fromkeys(found))


def _patterns(nodes: Sequence[str] | None) -> tuple[str, ...]:
    if nodes is None:
        return ()
    return tuple(listed("--nodes", ",".join(nodes)) or ())
