"""Flags of settings go to `settings.load` as they were given, as texts, like the environment's.

Typer has pydantic check them first, for which it is loaded: 8 MiB that the estimator, a sidecar on
every node, would carry for ever, and a second opinion on what `Settings` says of each value.
"""

from __future__ import annotations

from typing import Any, Final

_MARK: Final = "is_setting"


class _AsGiven:
    """In the place of Typer's coercion of one parameter."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002  # as Typer calls it
        """The value; of a flag that may be repeated and was not given, no values."""
        return () if value is None and param.multiple else value


def as_given(option: Any) -> Any:
    """The option, marked as one whose value nobody but the settings checks."""
    setattr(option, _MARK, True)
    return option


def is_setting(parameter: Any) -> bool:
    """Whether a command's parameter is such an option."""
    return getattr(parameter.type_descriptor.parameter_info, _MARK, False)


def take_as_given(command: Any) -> None:
    """Have a command, and the commands in it, take marked options and ``--help`` unchecked."""
    with command.context_class(command) as context:
        asks_for_help = command.get_help_option(context)
    for parameter in (*command.params, asks_for_help):
        if parameter is asks_for_help or is_setting(parameter):
            # What Typer makes when it is first asked for, and then keeps.
            parameter._runtime_param = _AsGiven()
    for part in getattr(command, "commands", {}).values():
        take_as_given(part)
