"""Flags of settings go to `settings.load` as they were given, as texts, like the environment's.

Typer has pydantic check them first, for which it is loaded: 8 MiB that the estimator, a sidecar on
every node, would carry for ever, and a second opinion on what `Settings` says of each value.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


class _AsGiven:
    """In the place of Typer's coercion of one parameter."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002  # as Typer calls it
        """The value; of a flag that may be repeated and was not given, no values."""
        return () if value is None and param.multiple else value


def take_as_given(command: Any, names: Collection[str]) -> None:
    """Have a command, and the commands in it, take these parameters and ``--help`` unchecked."""
    with command.context_class(command) as context:
        asks_for_help = command.get_help_option(context)
    for parameter in (*command.params, asks_for_help):
        if parameter is asks_for_help or parameter.name in names:
            # What Typer makes when it is first asked for, and then keeps.
            parameter._runtime_param = _AsGiven()
    for part in getattr(command, "commands", {}).values():
        take_as_given(part, names)
