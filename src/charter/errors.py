"""What goes wrong because of a user's file, data, option or bundle, said so that the user can mend it.

Every error here is shown without a traceback by the command line. An error says where, what was found, what is
accepted and what to do; it never holds a data value (only its place, reason, type and length).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

EXIT_USER_ERROR = 2
EXIT_NOT_RELEASED = 3
EXIT_NOT_VERIFIED = 4
EXIT_INTERRUPTED = 130


class CharterError(Exception):
    """A problem that the user can mend; its text is the whole message, `exit_code` what the shell gets.

    key: the path of the charter's key that it is about, where it is about one. place: `file:line` of that key, once it is known.
    """

    exit_code = EXIT_USER_ERROR
    key: tuple[str, ...] = ()
    place = ""

    def about(self, *key: str) -> Self:
        """The same error, of a key of the charter."""
        self.key = key
        return self

    def __str__(self) -> str:
        named = f"{'.'.join(self.key)}: {super().__str__()}" if self.key else super().__str__()
        return f"{self.place}  {named}" if self.place else named


@dataclass(frozen=True, order=True)
class Problem:
    """One problem of a charter file: `file:line`, the path of the key, and what to do about it."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        at = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}  {at}{self.message}"


class CharterFileError(CharterError):
    """A charter file that can't be followed; holds every problem found, in the order of its lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class OptionError(CharterError):
    """A plug-in that is not known, or whose options its signature doesn't accept."""


class DataError(CharterError):
    """A data source that can't be read, prepared or split as the charter asks."""


class ModelError(CharterError):
    """A base model that can't be loaded or adapted as the charter asks."""


class TrainingError(CharterError):
    """Training that can't go on: its loss is no number any more."""


class WorkerLostError(TrainingError):
    """Another process of the same training is gone; started again, it goes on from its last checkpoint."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "another process of this training is gone; start it again, and it goes on from its last checkpoint "
            f"({why.splitlines()[0][:200]})"
        )


class StoreError(CharterError):
    """A run store that can't be written, or that another process is using in a way that excludes this one."""


class LedgerError(CharterError):
    """A privacy ledger that was changed, or can't be read."""


class BudgetError(CharterError):
    """Training that would pass the privacy budget of its data, with the figures and what would fit."""


class BundleError(CharterError):
    """A folder that is not a bundle, or a bundle that was changed since it was released."""

    exit_code = EXIT_NOT_VERIFIED


class MissingExtraError(CharterError):
    """A library that an optional part needs; the message holds the exact command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an optional part of Charter: pip install "charter[{extra}]"')
