"""The command ``wattstream``: one line for every error, status 2 for misuse, 1 for failure."""

from __future__ import annotations

import os
import sys

import typer
from typer.exceptions import TyperException

from estimator.errors import MisuseError, WattstreamError
from server.commands import application


def main() -> None:
    """Run the command that the arguments name."""
    # Our matrices are small: threads of the linear algebra would cost more than they give. Only
    # the environment can say so, and only before numpy is there.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command; its exit status. Without arguments: what commands there are."""
    try:
        status = application.make(arguments)(arguments or ["--help"], standalone_mode=False)
        sys.stdout.flush()  # Here, not when the interpreter ends: nobody could answer for it then.
    except typer.Exit as leaving:
        return leaving.exit_code
    except SystemExit:  # Typer's own way to leave when whoever read our output has seen enough.
        return _write_no_more(1)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except MisuseError as error:
        return _complain(str(error), 2)
    except WattstreamError as error:
        return _complain(str(error), 1)
    except BrokenPipeError:
        return _write_no_more(1)
    except OSError as error:  # Such as a full disk: the system's failure, not the program's.
        where = f"{error.filename}: " if error.filename else ""
        return _write_no_more(_complain(f"{where}{error.strerror or error}", 1))
    except TyperException as error:  # The command line is wrong.
        text = getattr(error, "format_message", error.__str__)()
        return _complain(f"{text.rstrip('.')} (--help shows what there is)", 2)
    return status if isinstance(status, int) else 0


def _write_no_more(status: int) -> int:
    """The status; what is still to be written goes nowhere, so that nothing is said of it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return status


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"wattstream: {' '.join(text.split())}\n")
    return status
