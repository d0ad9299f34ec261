"""A zip that holds one file, put in the place of the zip."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException

from estimator.artifacts.zips import open_zip
from estimator.errors import DamagedError


def take_out(path: Path, limit: int) -> None:
    """Replace the zip by what its one member holds, at most ``limit`` bytes; else 400 or 413."""
    part = path.with_suffix(".part")
    try:
        with open_zip(path) as members, part.open("wb") as file:
            if len(members) != 1:
                count = len(members)
                raise HTTPException(400, f"the zip has {count} members: one is needed, a request")
            (member,) = members
            if member.size > limit:
                what = f"the zip's member {member.name[:80]!r} holds {member.size} bytes"
                raise HTTPException(413, f"{what}, {limit} are the limit")
            for piece in member.pieces():
                file.write(piece)
    except DamagedError as error:
        raise HTTPException(400, f"body: {error}") from error
    part.replace(path)
