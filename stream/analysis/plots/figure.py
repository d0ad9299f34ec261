"""Figures: begun, and written into a file whose name says the form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from estimator.errors import MisuseError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED: Final = "#555"
ESTIMATED: Final = "#d1495b"
MOST_PANELS: Final = 24
"""More than that nobody looks at; the rest is said to be left out."""


def panels(
    count: int, title: str, *, columns: int = 1, height: float = 3.0
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels; ``MisuseError`` where matplotlib is not there."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MisuseError("plots need matplotlib: install wattstream[analyst]") from error
    shown = max(1, min(count, MOST_PANELS))
    rows = -(-shown // columns)
    figure = Figure(figsize=(13, height * rows + 0.6), layout="constrained")
    left_out = f" ({count - shown} more are left out)" if count > shown else ""
    figure.suptitle(title + left_out)
    grid = figure.add_gridspec(rows, columns)
    return figure, [figure.add_subplot(grid[n // columns, n % columns]) for n in range(shown)]


def check_form(path: Path) -> None:
    """``MisuseError`` for a form that there is not, before anything is drawn."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        return  # which `panels` says
    forms = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in forms:
        raise MisuseError(f"--output is {path}: the name must end in one of {', '.join(forms)}")


def save(figure: Figure, path: Path) -> None:
    """Write it; ``MisuseError`` for a form that there is not, or where it cannot be written."""
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise MisuseError(f"--output is {path}: {error}") from error
