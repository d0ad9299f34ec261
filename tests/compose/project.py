"""What ``compose/compose.yaml`` and the container files say, as an engine would read it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "compose" / "compose.yaml"
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Image(NamedTuple):
    """A container file: its bases, its environment, what it starts, and as whom."""

    bases: tuple[str, ...]
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    user: str


class Service(NamedTuple):
    """A service as it is started: the image's environment under its own."""

    name: str
    image: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    health: tuple[str, ...]
    after: tuple[str, ...]
    profiles: tuple[str, ...]
    is_built: bool
    """Whether its image is made here, of this project."""


def raw() -> dict[str, Any]:
    """The compose file, merged but without values for its variables."""
    found: dict[str, Any] = YAML(typ="safe").load(FILE)
    return found


def variables() -> set[str]:
    """The names of all variables in the file."""
    return {name for name, _ in _VARIABLE.findall(json.dumps(raw()))}


def services(given: Mapping[str, str]) -> dict[str, Service]:
    """All services, with variables from ``given`` or by default."""
    return {name: _service(name, body, given) for name, body in sorted(raw()["services"].items())}


def image(path: Path) -> Image:
    """What a container file says of its last stage."""
    text = path.read_text().replace("\\\n", " ")
    last = text[text.rindex("\nFROM ") :]
    environment = {}
    for line in re.findall(r"^ENV (.*)$", last, re.MULTILINE):
        environment.update(dict(word.split("=", 1) for word in line.split()))
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.*)$", last, re.MULTILINE)
    users = re.findall(r"^USER (.*)$", last, re.MULTILINE)
    return Image(
        tuple(re.findall(r"^FROM (\S+)", text, re.MULTILINE)),
        environment,
        tuple(json.loads(entrypoint)),
        users[-1] if users else "root",
    )


def _service(name: str, body: Mapping[str, Any], given: Mapping[str, str]) -> Service:
    environment: dict[str, str] = {}
    words = tuple(body.get("command", ()))
    if "build" in body:
        built = image(FILE.parent / body["build"]["context"] / body["build"]["dockerfile"])
        environment |= built.environment
        words = built.entrypoint + words
    environment |= {key: str(value) for key, value in body.get("environment", {}).items()}
    return Service(
        name,
        body["image"],
        tuple(filled(word, given) for word in words),
        {key: filled(value, given) for key, value in environment.items()},
        tuple(body.get("healthcheck", {}).get("test", ())),
        tuple(body.get("depends_on", ())),
        tuple(body.get("profiles", ())),
        "build" in body,
    )


def filled(text: str, given: Mapping[str, str]) -> str:
    """The text with its variables' values, those in ``given`` or the defaults."""
    # As with compose, ":-" takes the default for an empty value too.
    return _VARIABLE.sub(lambda found: given.get(found[1]) or found[2] or "", text)
