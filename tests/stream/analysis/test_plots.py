"""What is drawn is what was said: read back from the figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from estimator.errors import MisuseError, WattstreamError
from stream.analysis.learned_samples import LearnedSamples, learn_samples
from stream.analysis.plots.curves import plot_curves
from stream.analysis.plots.errors import plot_errors
from stream.analysis.plots.features import plot_features
from stream.analysis.plots.figure import MOST_PANELS, panels, save
from stream.analysis.plots.models import plot_models
from stream.analysis.plots.power import plot_power
from stream.analysis.plots.shares import plot_shares
from stream.analysis.shares import Shares
from stream.learning.pools import pool
from tests.stream.sampled import samples

SAMPLES = samples(150)


@pytest.fixture(scope="module")
def learned() -> LearnedSamples:
    return learn_samples(SAMPLES, pool(("ridge",)))


def labels(figure: Figure) -> Sequence[str]:
    return [axes.get_ylabel() for axes in figure.axes]


def test_power_is_what_was_measured_and_estimated(learned: LearnedSamples) -> None:
    (course,) = learned.best()
    figure = plot_power([course], "title")
    assert labels(figure) == ["package (rapl-sysfs), W", "dram (rapl-sysfs), W"]
    measured, estimated = figure.axes[0].lines
    np.testing.assert_allclose(
        np.asarray(measured.get_ydata()), [sample.watts[0] for sample in SAMPLES[1:]]
    )
    np.testing.assert_allclose(np.asarray(estimated.get_ydata()), course.estimated[:, 0])


def test_the_best_course_is_that_with_the_least_error(learned: LearnedSamples) -> None:
    errors = {
        course.key.feature_group: np.abs(course.estimated - course.measured).mean(axis=0).max()
        for course in learned.courses
    }
    assert set(errors) == {"BPFOnly", "CPUTime"}
    assert learned.best()[0].key.feature_group == min(errors, key=lambda group: errors[group])


def test_errors_by_the_models_age(learned: LearnedSamples) -> None:
    (course,) = learned.best()
    figure = plot_errors([course], "title")
    bars = cast("list[BarContainer]", figure.axes[0].containers)
    assert [bar.get_label() for bar in bars] == ["package", "dram"]
    shown = [patch.get_height() for patch in bars[0].patches]
    told = [course.model.assessment.total.errors(h, 0).mae for h in range(4)]
    # The trace lasts 450 s: nothing is 1,200 s old.
    assert np.isnan(told[3])
    np.testing.assert_allclose(shown, np.nan_to_num(told))


def test_features_against_power_the_strongest_first() -> None:
    figure = plot_features(SAMPLES, "title")
    assert len(figure.axes) == 4
    assert figure.axes[0].get_title() == "r = 1.000"
    (dots,) = figure.axes[0].collections
    assert isinstance(dots, PathCollection)
    assert len(np.asarray(dots.get_offsets())) == len(SAMPLES)


def test_curves_are_what_the_models_answer(learned: LearnedSamples) -> None:
    figure = plot_curves(learned.courses, SAMPLES, "title")
    (package, dram) = figure.axes
    assert "package" in package.get_ylabel() or "package" in dram.get_ylabel()
    axes = package if "package" in package.get_ylabel() else dram
    for line in axes.lines:
        watts = np.asarray(line.get_ydata())
        assert watts[0] == pytest.approx(30.0, abs=1.0)
        assert watts[-1] == pytest.approx(110.0, abs=5.0)
        assert (np.diff(watts) > -0.5).all()


def test_models_side_by_side(learned: LearnedSamples) -> None:
    figure = plot_models({"ridge": learned.models, "again": learned.models}, "title")
    bars = cast("list[BarContainer]", figure.axes[0].containers)
    assert [bar.get_label() for bar in bars] == ["ridge", "again"]
    assert [p.get_height() for p in bars[0].patches] == [p.get_height() for p in bars[1].patches]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["BPFOnly", "CPUTime"]


def test_shares_are_stacked() -> None:
    watts = np.array([[1.0, 2.0], [3.0, 4.0]])
    shares = Shares(
        "n1", "package", "cpu", ["a" * 64, "others"], np.array([0.0, 60.0]), watts, 30.0
    )
    figure = plot_shares([shares], {"a" * 64: "a" * 64 + "/web-0/web/shop"}, "title")
    layers = [one for one in figure.axes[0].collections if isinstance(one, PolyCollection)]
    assert [layer.get_label() for layer in layers] == ["least power", "web-0/web/shop", "others"]
    tops = [np.asarray(layer.get_paths()[0].vertices)[:, 1].max() for layer in layers]
    assert tops == [30.0, 33.0, 37.0]


def test_there_is_a_bound_to_panels() -> None:
    figure, axes = panels(MOST_PANELS + 3, "title", columns=3)
    assert len(axes) == MOST_PANELS
    assert figure.get_suptitle() == "title (3 more are left out)"


@pytest.mark.parametrize("name", ["a.doc", "no/a.png"])
def test_files_that_cannot_be(tmp_path: Path, name: str) -> None:
    figure, _ = panels(1, "title")
    with pytest.raises(MisuseError, match=r"--output is"):
        save(figure, tmp_path / name)


def test_samples_of_no_feature_group() -> None:
    strange = [sample._replace(features=("wind", "rain")) for sample in SAMPLES]
    with pytest.raises(
        WattstreamError, match=r"150 samples satisfy no feature group: .* rain, wind"
    ):
        learn_samples(strange, pool(("ridge",)))


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MisuseError, match=r"install wattstream\[analyst\]"):
        panels(1, "title")
