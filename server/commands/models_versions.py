"""The versions of one model: what there was, how two differ, and which one is to be current."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from estimator.errors import MisuseError
from estimator.settings import Settings
from server.commands.output import print_json, print_table, watts

if TYPE_CHECKING:
    from estimator.storage.model_index import ModelIndex, Version
    from estimator.storage.model_store import ModelStore
    from estimator.storage.version_diff import Difference

_SHORT: Final = 12
"""So much of a digest is shown, and is enough to name it."""
_HORIZONS: Final = ("0", "60", "300", "1200")

Model = Annotated[str, typer.Argument(help="The model's name, or a part that no other has")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]


def history(settings: Settings, model: Model, json: Json = False) -> int:
    """List the versions of a model that are kept, oldest first, with their errors in watts."""
    import msgspec

    index = _opened(settings, model)[1]
    if json:
        print_json({"slug": index.key.slug, **msgspec.to_builtins(index)})
        return 0
    rows = []
    for version in index.versions:
        marks = _marks(version, index)
        for component, errors in version.errors.items():
            found = [watts(errors.get(h, {}).get("mae")) for h in _HORIZONS]
            name, when = version.digest[:_SHORT], _time(version.at)
            rows.append([name, when, str(version.samples), component, *found, marks])
    columns = ["version", "learned until (UTC)", "samples", "component"]
    columns += ["next W", "60 s W", "300 s W", "1200 s W", "is"]
    backs = ", ".join(f"{count} {why}" for why, count in index.rollbacks.items()) or "none"
    title = f"{index.key.slug}: {index.held_back} versions held back, roll-backs: {backs}"
    print_table(columns, rows, title)
    return 0


def diff(
    settings: Settings,
    model: Model,
    a: Annotated[str, typer.Argument(help="The beginning of a version's digest")],
    b: Annotated[str, typer.Argument(help="That of another")],
    json: Json = False,
) -> int:
    """Show in what two versions of a model differ: errors, features, weights, ranges."""
    from estimator.storage.model_index import find_version
    from estimator.storage.version_diff import difference

    models, index = _opened(settings, model)
    first, second = (find_version(index, text) for text in (a, b))
    found = difference(models.artifact(first.digest), models.artifact(second.digest))
    if json:
        print_json([row._asdict() for row in found])
        return 0
    names = [version.digest[:_SHORT] for version in (first, second)]
    rows = [_differing(row) for row in found]
    print_table(["what", "of", *names, "unit"], rows, index.key.slug)
    return 0


def rollback(
    settings: Settings,
    model: Model,
    version: Annotated[
        str | None,
        typer.Argument(help="The beginning of its digest; without: the one before the current"),
    ] = None,
) -> int:
    """Make an older version of a model current, and pin it."""
    from estimator.storage.model_index import find_version, version_before

    models, index = _opened(settings, model)
    chosen = version_before(index) if version is None else find_version(index, version)
    models.roll_back(index.key.slug, chosen.digest)
    _say([f"{index.key.slug} is rolled back to", _name(chosen), "and pinned to it:"])
    _say(["new versions are kept, and none becomes current before", f"{_pin(index)} --off"])
    return 0


def pin(
    settings: Settings,
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="The beginning of its digest; without: the current one")
    ] = None,
    off: Annotated[
        bool, typer.Option("--off", help="Have new versions become current again")
    ] = False,
) -> int:
    """Keep a version of a model current whatever is published."""
    from estimator.storage.model_index import find_version

    if off and version is not None:
        raise MisuseError(f"--off goes without a version, and {version!r} is given")
    models, index = _opened(settings, model)
    if off:
        models.unpin(index.key.slug)
        _say([index.key.slug, "is pinned no more" if index.pinned else "was not pinned"])
        return 0
    chosen = index.served if version is None else find_version(index, version)
    models.pin(index.key.slug, chosen.digest)
    _say([f"{index.key.slug} is pinned to", _name(chosen), f"until {_pin(index)} --off"])
    return 0


def _opened(settings: Settings, text: str) -> tuple[ModelStore, ModelIndex]:
    from estimator.storage.model_index import find_index
    from estimator.storage.model_store import ModelStore
    from estimator.storage.store import open_store

    models = ModelStore(open_store(settings.store_url))
    return models, find_index(models.indexes(), text)


def _marks(version: Version, index: ModelIndex) -> str:
    current = version.digest == index.current
    marks = ["current"] * current + ["pinned"] * (current and index.pinned)
    return " ".join([*marks, *["held back"] * version.held])


def _pin(index: ModelIndex) -> str:
    return f"wattstream models pin {index.key.slug}"


def _name(version: Version) -> str:
    return f"{version.digest[:_SHORT]} of {_time(version.at)} UTC"


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, tz=UTC):%Y-%m-%d %H:%M:%S}"


def _differing(row: Difference) -> list[str]:
    from estimator.storage.version_diff import LEARNED_UNTIL

    if row.what == LEARNED_UNTIL:
        return [row.what, row.of, _moment(row.a), _moment(row.b), "UTC"]
    return [row.what, row.of, _number(row.a), _number(row.b), row.unit]


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    at = round(seconds * 1000)
    return f"{_time(at)}.{at % 1000:03}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) >= 1e6 else f"{value:.6g}"


def _say(words: Iterable[str]) -> None:
    sys.stdout.write(" ".join(words) + "\n")
