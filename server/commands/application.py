"""The commands' names and help, and how the settings become their flags."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from estimator import __version__
from estimator.errors import MisuseError
from estimator.settings import SECRETS, Row, Settings, load, split, table
from server.commands.as_given import as_given, take_as_given

LOG_LEVELS: Final = ("debug", "info", "warning", "error")

Command = Callable[..., int | None]


COMMANDS: Final = (
    *("up", "collect", "learn", "serve", "estimate", "evaluate", "replay"),
    *("train", "trainer", "profile", "ask", "models", "topics"),
    *("query", "validate", "extract", "isolate", "plot", "export"),
)
"""The commands in the order of the help; each is a module of this package."""


def make(arguments: Sequence[str] = ()) -> Callable[..., Any]:
    """The application: with the command that the arguments name, or with all if they name none.

    To make all of them takes memory and time that an estimator should not need.
    """
    named = next((word for word in arguments if not word.startswith("-")), None)
    app = typer.Typer(
        name="wattstream",
        help="Learn, continuously, how much power machines draw for the work they do.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_before_any)
    rows = {row.name: row for row in table()}
    for name in (named,) if named in COMMANDS else COMMANDS:
        module = import_module(f"server.commands.{name}")
        parts = getattr(module, "SUBCOMMANDS", None)
        if parts is None:
            app.command(name)(_command(module.run, module.SETTINGS, rows))
        else:
            app.add_typer(_group(module.run, parts, module.SETTINGS, rows), name=name)
    made = typer.main.get_command(app)
    take_as_given(made)
    return made


def _group(
    run: Command, parts: Mapping[str, Command], names: tuple[str, ...], rows: Mapping[str, Row]
) -> typer.Typer:
    """A command that does something by itself, and has sub-commands that heed the same settings."""
    group = typer.Typer(rich_markup_mode=None)
    alone = _command(run, names, rows)
    signature = inspect.signature(alone)

    def command(context: typer.Context, **given: Any) -> int | None:
        if context.invoked_subcommand is None:
            return alone(**given)
        for name, value in given.items():
            if value != signature.parameters[name].default:
                flag = f"--{name.replace('_', '-')}"
                raise MisuseError(f"{flag} belongs after {context.invoked_subcommand}")
        return None

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[context, *signature.parameters.values()]
    )
    command.__annotations__ = {**alone.__annotations__, "context": typer.Context}
    command.__doc__ = run.__doc__
    group.callback(invoke_without_command=True)(command)
    for name, part in parts.items():
        group.command(name)(_command(part, names, rows))
    return group


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"wattstream {__version__}\n")
        raise typer.Exit


def _before_any(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and leave", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the options that go before any command."""


def _command(run: Command, names: tuple[str, ...], rows: Mapping[str, Row]) -> Command:
    """A command: its own parameters, and a flag for each of the settings it heeds.

    Secrets have none: whoever lists the processes would see them.
    """
    flagged = [setting for setting in (*names, "log_level") if setting not in SECRETS]
    own = [
        parameter
        for parameter in inspect.signature(run, eval_str=True).parameters.values()
        if parameter.name != "settings"
    ]
    flags = [_flag(setting, rows) for setting in ("config", *flagged)]

    def command(**given: Any) -> int | None:
        config = Path(said) if (said := given.pop("config")) is not None else None
        chosen = {setting: given.pop(setting) for setting in flagged}
        settings = load({key: _given(value) for key, value in chosen.items()}, os.environ, config)
        _set_up_logging(settings)
        return run(settings=settings, **given)

    keyword = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *flags]
    ]
    command.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword}
    command.__doc__ = run.__doc__
    return command


def _given(value: Any) -> Any:
    """What a flag says, None if it was not given; 0 and "" are values, and commas part lists."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(part.strip() for one in value for part in split(one) if part.strip()) or None


def _flag(name: str, rows: Mapping[str, Row]) -> inspect.Parameter:
    """The flag of a setting; not given, the environment, the file or the default decides."""
    kind: Any
    if name == "config":
        kind, text = Path, "TOML file with settings"
    else:
        row = rows[name]
        default = getattr(Settings(), name)
        kind = list[str] if isinstance(default, tuple) else type(default)
        text = f"{row.help} [{row.environment}]"
    option = as_given(typer.Option(f"--{name.replace('_', '-')}", help=text, show_default=False))
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _set_up_logging(settings: Settings) -> None:
    level = settings.log_level.lower()
    if level not in LOG_LEVELS:
        known = ", ".join(LOG_LEVELS)
        raise MisuseError(f"log_level is {settings.log_level!r}; known are {known}")
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )
    # Its errors reach us as exceptions; in the log they would stand once more, without context.
    logging.getLogger("kafka").propagate = False
    for chatty in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
