"""What is closed at the end of a ``with``, as every log is."""

from __future__ import annotations

from typing import Self


class Closing:
    """Closes itself at the end of a ``with``."""

    def close(self) -> None:
        """Give back what is held."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
