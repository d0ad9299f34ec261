"""What every source can do."""

from __future__ import annotations

from typing import Protocol

from stream.records import PowerRecord, UsageRecord

Record = UsageRecord | PowerRecord


class Source(Protocol):
    """Something that can be asked, again and again, for records."""

    @property
    def name(self) -> str:
        """A short name with what it reads, for logs, metrics and the status page."""
        ...

    @property
    def interval_seconds(self) -> float | None:
        """How often to ask; None for a source to be read as fast as it can be (a file)."""
        ...

    def poll(self) -> list[Record] | None:
        """Return what is new; None once nothing will come any more.

        Raises ``SourceUnavailableError`` when there is nothing now and there may be later, and
        ``WattstreamError`` when retrying is no use (a file that cannot be read as a trace).
        """
        ...

    def close(self) -> None:
        """Give back what the source holds."""
        ...
