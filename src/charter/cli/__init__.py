"""The command line: parse, call, print, exit code. `main` is the only place where an error becomes words and a code."""

import errno
import io
import os
import sys
from typing import Any

import typer

from charter.cli import commands, privacy, using  # noqa: F401  each puts its commands on the application
from charter.cli.application import app
from charter.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, CharterError, CharterFileError

# typer brings its own copy of click from 0.16 on, or uses the installed one; either way its errors have this ancestor.
_ClickException: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main() -> None:
    """Run the command line and leave with its exit code (see `docs/cli.md`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that can't show a mark shows `?`
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command; user errors are said on standard error without a traceback. Returns the exit code."""
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="charter")
    except typer.Exit as left:
        code = left.exit_code
    except typer.Abort:
        return _say("Stopped.", EXIT_INTERRUPTED)
    except _ClickException as error:
        error.show()
        return EXIT_USER_ERROR
    except CharterFileError as error:
        count = len(error.problems)
        return _say(f"{error}\n{count} problem{'s' if count > 1 else ''}; nothing was run.", error.exit_code)
    except CharterError as error:
        return _say(f"Error: {error}", error.exit_code)
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USER_ERROR
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        kept = " Nothing half-written was kept." if error.errno in _WHILE_WRITING else ""
        room = _ROOM if error.errno in _FULL and arguments[:1] == ["run"] else ""
        return _say(f"Error: {error.strerror or error}{where}.{kept}{room}", EXIT_USER_ERROR)
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # what pathlib says of it, up to Python 3.12
            raise
        return _say(f"Error: {error}", EXIT_USER_ERROR)
    if code == EXIT_INTERRUPTED:  # what typer turns a Ctrl-C into
        return _interrupted(arguments)
    return int(code or 0)


def _interrupted(arguments: list[str]) -> int:
    kept = " What was done is kept: run the same command again to go on." if "run" in arguments[:1] else ""
    return _say(f"Interrupted.{kept}", EXIT_INTERRUPTED)


_FULL = {errno.EDQUOT, errno.ENOSPC}
_ROOM = " Make room, or keep runs elsewhere (--store DIR), and run again: stages that were finished are kept."
_WHILE_WRITING = {errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}


def _say(text: str, code: int) -> int:
    typer.echo(text, err=True)
    return code
