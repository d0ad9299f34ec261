"""Errors of models as tables show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from server.commands.output import watts

ERROR_COLUMNS: Final = (
    *("MAE W", "RMSE W", "MAPE %", "R2", "bias W"),
    *("60 s", "300 s", "1200 s"),
)


def error_cells(errors: Mapping[str, Any]) -> list[str]:
    """The cells under `ERROR_COLUMNS` of one component's errors, of a report."""
    served = [watts(errors["served"][horizon]["mae"]) for horizon in errors["served"]]
    r2 = "-" if errors["r2"] is None else f"{errors['r2']:.3f}"
    mape = "-" if errors["mape"] is None else f"{errors['mape']:.1f}"
    mae, rmse, bias = (watts(errors[name]) for name in ("mae", "rmse", "bias"))
    return [mae, rmse, mape, r2, bias, *served]
