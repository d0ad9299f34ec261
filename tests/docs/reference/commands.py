"""`docs/reference/commands.md`: every command, from the application that is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from server.commands import application
from server.commands.as_given import is_setting
from tests.docs.reference.markdown import heading, table

_PAGES: Final = {
    **dict.fromkeys(("up", "collect"), "sources.md"),
    **dict.fromkeys(("learn",), "architecture.md#learning"),
    **dict.fromkeys(("serve",), "http.md"),
    **dict.fromkeys(("estimate", "ask"), "estimator.md"),
    **dict.fromkeys(("replay",), "replay.md"),
    **dict.fromkeys(("train", "trainer"), "trainer.md"),
    **dict.fromkeys(("profile",), "configuration.md#settings"),
    **dict.fromkeys(("models",), "models.md"),
    **dict.fromkeys(("topics",), "records.md#dead-letters"),
    **dict.fromkeys(
        ("evaluate", "query", "validate", "extract", "isolate", "plot", "export"), "analysis.md"
    ),
}
"""Where more is said of a command."""
_INTRODUCTION: Final = (
    "Options that are settings are only named here: what they mean, their defaults and their "
    "environment variables are in [configuration](../configuration.md#settings), and all but the "
    "secrets can be given in a file, too. What a status means is "
    "[there](../configuration.md#exit-status), which command is for what in the "
    "[README](../../README.md#commands)."
)


def page() -> str:
    """The whole page."""
    app: Any = application.make()
    parts = [heading("Commands", _INTRODUCTION), *_command(app, "wattstream", "")]
    for name, command in app.commands.items():
        parts += _command(command, f"wattstream {name}", _PAGES[name])
        for inner, part in getattr(command, "commands", {}).items():
            parts += _command(part, f"wattstream {name} {inner}", "", level="###")
    return "\n\n".join(parts) + "\n"


def _command(command: Any, name: str, more: str, level: str = "##") -> Iterator[str]:
    own = [one for one in command.params if not is_setting(one)]
    settings = [one for one in command.params if is_setting(one)]
    arguments = [one for one in own if one.param_type_name == "argument"]
    options = [one for one in own if one.param_type_name == "option"]
    yield f"{level} `{name}`"
    yield command.help + (f" See [{_title(more)}](../{more})." if more else "")
    yield f"```console\n{_usage(command, name, arguments)}\n```"
    if arguments:
        rows = [[f"`{_word(one)}`", _needed(one), one.help] for one in arguments]
        yield table(["argument", "", "meaning"], rows)
    if options:
        columns = ["option", "value", "default", "environment", "meaning"]
        yield table(columns, [_option(one) for one in options])
    if settings:
        yield f"Settings: {', '.join(f'`{one.opts[0]}`' for one in settings)}."


def _title(page: str) -> str:
    return page.partition(".md")[0]


def _usage(command: Any, name: str, arguments: list[Any]) -> str:
    words = [name, "[OPTIONS]"]
    for one in arguments:
        word = f"{_word(one)}..." if one.nargs == -1 else _word(one)
        words.append(word if one.required else f"[{word}]")
    if getattr(command, "commands", {}):
        words.append("COMMAND" if name == "wattstream" else "[COMMAND]")
    return " ".join(words)


def _word(argument: Any) -> str:
    return str(argument.name).upper()


def _needed(argument: Any) -> str:
    return "" if argument.required else "may be left out"


def _option(option: Any) -> list[str]:
    names = ", ".join(f"`{name}`" for name in option.opts)
    default = "" if option.default in (None, False, "") else f"`{_plain(option.default)}`"
    environment = f"`{option.envvar}`" if option.envvar else ""
    return [names, _value(option), default, environment, option.help]


def _plain(default: Any) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def _value(option: Any) -> str:
    if option.is_flag:
        return ""
    kind = option.type_descriptor.annotation
    word = {Path: "path", float: "number", int: "whole number"}.get(kind, "text")
    least, most = getattr(option, "min", None), getattr(option, "max", None)
    if least is not None:
        word += f", {least:g} or more" if most is None else f" from {least:g} to {most:g}"
    return f"{word}, may be repeated" if option.multiple else word
