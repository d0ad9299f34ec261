"""Which versions of a model are kept: the newest, and others ever further apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from estimator.errors import MisuseError


class Kept(Protocol):
    """What is asked of a version; ``at`` (Unix ms) is the event time of its last sample."""

    @property
    def digest(self) -> str:
        """Its name."""
        ...

    @property
    def at(self) -> int:
        """Until when it had learned."""
        ...

    @property
    def held(self) -> bool:
        """Whether it was held back."""
        ...


class Retention(NamedTuple):
    """How many versions are kept: the ``newest`` ones, and of each of ``spread`` so many more.

    ``spread`` has seconds and a number: event time is cut into stretches that long, and of each of
    the last so many stretches with versions the first one is kept. So a version that is kept for a
    long stretch was kept for the short ones before, and none is missing later. If fewer than
    ``least`` come of that, the newest of the others fill up.
    """

    newest: int
    spread: tuple[tuple[int, int], ...] = ()
    least: int = 0

    @property
    def most(self) -> int:
        """There are never more than that."""
        return max(self.newest + sum(count for _, count in self.spread), self.least) + 1

    def kept(self, versions: Sequence[Kept], current: str) -> set[str]:
        """The digests that are kept of versions in the order of their publication.

        The current one always is. Those that were held back are kept as the newest or to fill up
        only: they would crowd out what one goes back to.
        """
        newest_first = [version.digest for version in reversed(versions)]
        found = {current, *newest_first[: self.newest]}
        for seconds, count in self.spread:
            found.update(_firsts(versions, seconds * 1000, count))
        for digest in newest_first:
            if len(found) >= self.least:
                break
            found.add(digest)
        return found


def last(count: int) -> Retention:
    """Keep that many, the newest; ``MisuseError`` for less than 1."""
    if count < 1:
        raise MisuseError(f"keep is {count}: at least 1 version stays")
    return Retention(newest=count, least=count)


SPREAD: Final = Retention(
    newest=3, spread=((120, 3), (600, 2), (3600, 2), (6 * 3600, 2), (86400, 2)), least=10
)
"""At a version every 5 s the last three would be 15 s of history, and the last ten less than a
minute: nothing to go back to. Three of the shortest stretches, since it takes minutes to be sure
that a version is bad: the one before it must still be there."""


def _firsts(versions: Sequence[Kept], stretch_ms: int, count: int) -> list[str]:
    """The first version of each of the last ``count`` stretches of event time that have any."""
    firsts: dict[int, Kept] = {}
    for version in versions:
        stretch = version.at // stretch_ms
        if not version.held and (stretch not in firsts or version.at < firsts[stretch].at):
            firsts[stretch] = version
    return [firsts[stretch].digest for stretch in sorted(firsts)[-count:]]
