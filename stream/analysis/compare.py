"""What others would have made of a trace: baselines through the same protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from estimator.errors import MisuseError
from estimator.regressors.banks import BankMaker
from estimator.regressors.baselines.forest import ForestBank
from estimator.regressors.baselines.last_value import LastValueBank
from estimator.regressors.river_bank import standard_linear_bank
from stream.analysis.evaluate import Report, evaluate
from stream.learning.learner import Pool
from stream.sources.protocol import Source

Show = Callable[[str], Any]


def baselines() -> Mapping[str, BankMaker]:
    """What is compared with, by name; ``MisuseError`` if scikit-learn is not there."""
    try:
        from estimator.regressors.baselines.boosting import BoostingBank
        from estimator.regressors.baselines.smartwatts import SmartWattsBank
    except ImportError as error:
        raise MisuseError("--compare needs scikit-learn: install wattstream[compare]") from error
    return {
        "last value": LastValueBank,
        "window elastic net, refitted on error": SmartWattsBank,
        "gradient boosting, refitted": BoostingBank,
        "river StandardScaler | LinearRegression": standard_linear_bank,
        "river MinMaxScaler | AMFRegressor": ForestBank,
    }


def compare(
    source: Callable[[], Source], groups: Mapping[str, tuple[str, ...]], show: Show
) -> dict[str, Report]:
    """The report of every baseline, each alone, of samples that ``source`` gives every time anew.

    They are asked and scored as models are: before they learn, and as they were so long ago, and
    what they say is kept within the range that the machine has shown, which helps those that go
    astray. ``show`` is told of each as it begins.
    """
    found = {}
    for name, make in baselines().items():
        show(name)
        with _in_silence("stream.learning.learner"):
            found[name] = evaluate(source(), Pool(groups, {name: make}))
    return found


@contextmanager
def _in_silence(name: str) -> Iterator[None]:
    """That baselines drift is no news of the model's: it would be taken for such."""
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
