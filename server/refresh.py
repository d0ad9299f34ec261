"""Keeps the catalog fresh in the background."""

from __future__ import annotations

import logging
from threading import Event, Thread
from types import TracebackType
from typing import Final, Protocol, Self

logger = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 2.0


class Refreshable(Protocol):
    """A catalog, as far as this module cares."""

    def refresh(self) -> bool:
        """Read what is new; True if something was."""
        ...


class Refresher:
    """A context manager: within it, ``refresh`` is called again and again, in its own thread.

    What goes wrong is logged once, until it goes wrong otherwise or works again; what was read
    before is served on.
    """

    def __init__(self, catalog: Refreshable, seconds: float = REFRESH_SECONDS) -> None:
        self._catalog = catalog
        self._seconds = seconds
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="catalog-refresh", daemon=True)
        self._trouble: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def refresh(self) -> None:
        """Refresh once, whatever comes of it."""
        try:
            self._catalog.refresh()
        except Exception as error:  # noqa: BLE001 (the border of this thread)
            if str(error) != self._trouble:
                logger.warning("the models cannot be read again: %s", error)
            self._trouble = str(error)
        else:
            if self._trouble is not None:
                logger.warning("the models can be read again")
            self._trouble = None

    def _run(self) -> None:
        while True:
            self.refresh()
            if self._stopping.wait(self._seconds):
                return
