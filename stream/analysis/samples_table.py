"""Samples as a table, and the table as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from estimator.errors import MisuseError
from estimator.vocabulary import component_order
from stream.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

FORMATS: Final = (".csv", ".parquet")
POWER: Final = "_power"
_WHO: Final = ("timestamp", "node", "node_type", "interval")


def samples_table(samples: Sequence[Sample]) -> pd.DataFrame:
    """A row for each node and interval: who and when, features per second, watts by component.

    ``timestamp`` is the interval's end and ``interval`` its length, in seconds. Components of
    several energy sources stand in one row. Such a table of one node is a trace, which
    ``wattstream evaluate`` reads.
    """
    import pandas as pd

    rows: dict[tuple[str, int, int], dict[str, object]] = {}
    features: set[str] = set()
    components: set[str] = set()
    for sample in samples:
        row = rows.setdefault(
            (sample.node, sample.start, sample.end),
            {
                "timestamp": sample.end / 1000,
                "node": sample.node,
                "node_type": sample.machine.node_type,
                "interval": (sample.end - sample.start) / 1000,
            },
        )
        row.update(zip(sample.features, sample.rates.tolist(), strict=True))
        row.update(
            (f"{name}{POWER}", watts)
            for name, watts in zip(sample.components, sample.watts, strict=True)
        )
        features.update(sample.features)
        components.update(sample.components)
    watts = [f"{name}{POWER}" for name in component_order(components)]
    table = pd.DataFrame(list(rows.values()), columns=[*_WHO, *sorted(features), *watts])
    return table.sort_values(["timestamp", "node"], kind="stable", ignore_index=True)


def smoothed(table: pd.DataFrame, samples: int) -> pd.DataFrame:
    """Each node's features and watts as means of its last so many samples, once there are so many.

    kepler-model-server's ``smooth`` extractor, which takes 30.
    """
    values = [name for name in table.columns if name not in _WHO]
    means = table.groupby("node", sort=False)[values].rolling(samples).mean()
    made = table.copy()
    made[values] = means.droplevel(0)
    return made.dropna(subset=values, how="all").reset_index(drop=True)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write it in the form that the file's name says; ``MisuseError`` if that cannot be."""
    check_format(path)
    part = path.with_name(f"{path.name}.part")
    try:
        if path.suffix == ".csv":
            table.to_csv(part, index=False)
        else:
            table.to_parquet(part, index=False)
        part.replace(path)
    except OSError as error:
        raise MisuseError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def check_format(path: Path) -> None:
    """``MisuseError`` for a name of no known form, or for Parquet where nothing can write it."""
    if path.suffix not in FORMATS:
        raise MisuseError(f"--output is {path}: the name must end in {' or '.join(FORMATS)}")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MisuseError("Parquet needs pyarrow: install wattstream[analyst]")
