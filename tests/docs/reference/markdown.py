"""Markdown of tables, docstrings and JSON schemas; the same on every machine."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]
Told = Callable[[Schema], str]

_LONGEST_PATTERN: Final = 60
"""One that is longer explains nothing."""


def heading(title: str, text: str) -> str:
    """The beginning of a page that is made from the code."""
    made = "This page is made from the code: `python -m tests.docs.reference` writes it anew."
    return f"# {title}\n\n{text}\n\n{made}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; columns that are empty in all rows are left out."""
    filled = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    lines = [[columns[place] for place in filled], ["---"] * len(filled)]
    lines += [[_cell(row[place]) for place in filled] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: words for the machine in single quotes, examples as code."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(docstring or ""))
    parts = []
    for part in re.split(r"\n\s*\n", text):
        is_example = part.startswith(">>> ")
        parts.append(f"```python\n{part}\n```" if is_example else " ".join(part.split()))
    return "\n\n".join(parts)


def type_of(schema: Schema) -> str:
    """What a JSON schema admits, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(type_of(one) for one in schema["anyOf"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    told = _KINDS.get(schema.get("type", ""))
    return told(schema) if told else "anything"


def fields(schema: Schema) -> str:
    """The fields of a JSON object as a table."""
    required = schema.get("required", ())
    rows = [
        [f"`{name}`", type_of(one), "" if name in required else _default(one), _meaning(one)]
        for name, one in schema["properties"].items()
    ]
    return table(["field", "type", "without it", "meaning"], rows)


def schemas(found: Mapping[str, Schema], level: str = "###") -> Iterator[str]:
    """Each schema of an object with its name, what it says of itself, and its fields."""
    for name, schema in sorted(found.items()):
        text = prose(schema.get("description"))
        yield "\n\n".join(filter(None, [f"{level} {name}", text, fields(schema)]))


def _meaning(schema: Schema) -> str:
    return str(schema.get("description", ""))


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return "nothing"
    return f"`{json.dumps(schema['default'])}`"


def _number(kind: str) -> Told:
    def told(schema: Schema) -> str:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        most = schema.get("maximum")
        above = " above" if "exclusiveMinimum" in schema else ", at least"
        if least is None:
            return kind if most is None else f"{kind}, at most {most:,}"
        if most is None:
            return f"{kind}{above} {least:,}"
        return f"{kind} from {least:,} to {most:,}"

    return told


def _text(schema: Schema) -> str:
    if schema.get("format") == "binary":
        return "bytes"
    if len(schema.get("pattern", "")) in range(1, _LONGEST_PATTERN):
        return f"text like `{schema['pattern']}`"
    return f"text, at most {schema['maxLength']} letters" if "maxLength" in schema else "text"


def _array(schema: Schema) -> str:
    return f"list of {type_of(schema.get('items', {}))}"


def _object(schema: Schema) -> str:
    inside = schema.get("additionalProperties")
    if inside:
        return f"object of {type_of(inside)}"
    needed = schema.get("required", ())
    return f"object with {', '.join(f'`{name}`' for name in needed)}" if needed else "object"


_KINDS: Final[Mapping[str, Told]] = {
    "null": lambda _: "null",
    "boolean": lambda _: "true or false",
    "integer": _number("integer"),
    "number": _number("number"),
    "string": _text,
    "array": _array,
    "object": _object,
}
