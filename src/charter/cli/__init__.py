"""The command line: parse, call, print, exit code. `main` is the only place where an error becomes words and a code."""

import errno
import os
import sys
from typing import Any

import typer

from charter.cli.commands import app
from charter.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, CharterError, CharterFileError

# typer brings its own copy of click from 0.16 on, or uses the installed one; either way its errors have this ancestor.
_ClickException: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main() -> None:
    """Run the command line and leave with its exit code (see `docs/cli.md`)."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command; user errors are said on standard error without a traceback. Returns the exit code."""
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="charter")
    except typer.Exit as left:
        return int(left.exit_code)
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
        return _say(
            "Interrupted. What was done is kept: run the same command again to go on.", EXIT_INTERRUPTED
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USER_ERROR
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        where = f": {error.filename}" if error.filename else ""
        return _say(f"Error: {error.strerror}{where}. Nothing half-written was kept.", EXIT_USER_ERROR)
    return int(code or 0)


_OF_THE_MACHINE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EISDIR,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def _say(text: str, code: int) -> int:
    typer.echo(text, err=True)
    return code
