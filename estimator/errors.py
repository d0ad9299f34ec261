"""Every error that Wattstream raises on purpose: one subclass for each decision of a caller."""

from __future__ import annotations


class WattstreamError(Exception):
    """Something that the message explains in one line, naming the key and the value."""


class MisuseError(WattstreamError):
    """What was asked for makes no sense: a wrong setting, flag or argument. Exit status 2."""


class RecordError(WattstreamError):
    """A record cannot be read; it belongs in the dead-letter topic with this message."""


class RefusedError(RecordError):
    """The log will never take some of the messages, and has all others: count them, go on.

    ``refused`` are their places among the messages.
    """

    def __init__(self, message: str, refused: tuple[int, ...]) -> None:
        super().__init__(message)
        self.refused = refused


class SourceUnavailableError(WattstreamError):
    """A source has nothing to give now and may later: retry with backoff."""


class LogUnavailableError(WattstreamError):
    """The log cannot be reached now: wait and retry."""


class StoreError(WattstreamError):
    """The store refused or failed; what was there before is still there."""


class NotFoundError(StoreError):
    """The store has nothing under that name."""


class ConflictError(StoreError):
    """Somebody else changed it first: read again, then decide again."""


class FencedError(WattstreamError):
    """What was ours is another's now: drop what was made of it since, and ask what is ours."""


class DamagedError(WattstreamError):
    """An artifact or a checkpoint is not what its digest, schema version or shape promises."""


class RequestError(WattstreamError):
    """A client's request cannot be understood; the message is for that client."""


class NoModelError(WattstreamError):
    """No model fits what was asked for."""
