"""Isolators by the names and arguments that kepler-model-server has for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from estimator.errors import MisuseError
from estimator.isolation.hints import Hints
from estimator.isolation.isolator import (
    IdleIsolator,
    Isolator,
    MinIsolator,
    NoneIsolator,
    ProfileIsolator,
    TrainerIsolator,
)
from estimator.isolation.profile import Profiles

DEFAULT: Final = "idle"
"""See decision 33; kepler-model-server's is ``min``."""

_Maker = Callable[[Mapping[str, Any], Profiles], Isolator]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def make_isolator(
    name: str, arguments: Mapping[str, Any] = _NOTHING, profiles: Profiles | None = None
) -> Isolator:
    """The isolator of that name; ``MisuseError`` names what is unknown or makes no sense.

    ``arguments`` are ``isolator_args`` of kepler-model-server: ``bg_hints`` and ``target_hints``
    for ``trainer``, each a list of texts or one text with commas. ``profile`` looks into
    ``profiles``.

    >>> make_isolator("trainer", {"bg_hints": "kube-system, monitoring"}).word
    "trainer(bg_hints=['kube-system', 'monitoring'], target_hints=[])"
    >>> make_isolator("median")
    Traceback (most recent call last):
    estimator.errors.MisuseError: isolator is 'median': known are idle, min, none, profile, trainer
    """
    if name not in _MAKERS:
        raise MisuseError(f"isolator is {name!r}: known are {', '.join(sorted(_MAKERS))}")
    make, known = _MAKERS[name]
    for argument in arguments:
        if argument not in known:
            heeded = f"heeds {', '.join(known)}" if known else "heeds none"
            raise MisuseError(f"isolator_args has {argument!r}: isolator {name!r} {heeded}")
    return make(arguments, {} if profiles is None else profiles)


def _trainer(arguments: Mapping[str, Any], _: Profiles) -> Isolator:
    return TrainerIsolator(
        Hints(
            background=_texts("bg_hints", arguments.get("bg_hints")),
            target=_texts("target_hints", arguments.get("target_hints")),
        )
    )


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """Texts without those that are empty: an empty hint would be part of every name."""
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise MisuseError(f"{name} is {value!r}: a list of texts is needed")
    return tuple(part.strip() for part in parts if part.strip())


_MAKERS: Final[Mapping[str, tuple[_Maker, tuple[str, ...]]]] = {
    "idle": (lambda _, __: IdleIsolator(), ()),
    "min": (lambda _, __: MinIsolator(), ()),
    "none": (lambda _, __: NoneIsolator(), ()),
    "profile": (lambda _, profiles: ProfileIsolator(profiles), ()),
    "trainer": (_trainer, ("bg_hints", "target_hints")),
}
ISOLATORS: Final = tuple(sorted(_MAKERS))
"""The names of all isolators."""
