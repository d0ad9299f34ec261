from __future__ import annotations

import pytest

from estimator.isolation import hints as module
from estimator.isolation.hints import Hints

NAMES = ["kube-system/dns", "shop/web", "shop/db", "lab/job"]


@pytest.mark.parametrize(
    ("background", "target", "is_background"),
    [
        # Hints for the background are not taken for those of targets, and without any hints all
        # are targets: kepler-model-server has both the other way round.
        ((), (), [False, False, False, False]),
        (("kube", "lab"), (), [True, False, False, True]),
        ((), ("shop",), [True, False, False, True]),
        (("db",), ("shop",), [True, False, True, True]),
        (("nobody",), (), [False, False, False, False]),
    ],
)
def test_who_is_background(
    background: tuple[str, ...], target: tuple[str, ...], is_background: list[bool]
) -> None:
    hints = Hints(background, target)
    assert hints.mask(NAMES).tolist() == is_background
    assert hints.mask(NAMES[::-1]).tolist() == is_background[::-1]
    assert hints.mask([]).tolist() == []


def test_names_that_come_and_go_are_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 10)
    hints = Hints(["a"])
    for number in range(100):
        assert hints.mask([f"a{number}", f"b{number}"]).tolist() == [True, False]
    assert len(hints._known) <= 10
