"""A past run's record and page."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from charter.errors import CharterError, StoreError
from charter.release.record import Record, read_record
from charter.runs.files import write_text
from charter.runs.run import PastRun, find_run, list_runs
from charter.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def store_of(charter: Path, store: Path | None) -> Path:
    """Where a charter's runs are kept: `store` where one is named, else `runs` beside the charter.

    charter: the file, or the folder it lies in.

    Raises:
        CharterError: there is no such folder.
    """
    folder = charter if charter.is_dir() else charter.parent
    if store is None and not folder.is_dir():
        raise CharterError(f"--charter {charter}: no such charter, and no such folder")
    return (folder / "runs" if store is None else store).absolute()


def record_of(store: Path, run_id: str | None) -> tuple[PastRun, Record]:
    """The run asked for, or the newest one that was judged, with its record.

    Raises:
        StoreError: no such run, or one that was never judged.
    """
    kept = Store(store)
    judged: Sequence[PastRun] = [run for run in list_runs(kept) if (run.folder / "record.json").exists()]
    past = judged[-1] if run_id is None and judged else find_run(kept, run_id)
    path = past.folder / "record.json"
    if not path.exists():
        raise StoreError(f"run {past.id} ended as '{past.status}' before it was judged: it has no report")
    return past, read_record(path)


def language_of(wish: str | None) -> Language | None:
    """The language asked for; None for the charter's own.

    Raises:
        CharterError: a language that there is not.
    """
    if wish is None:
        return None
    if wish not in LANGUAGES:
        raise CharterError(f"--lang {wish}: no such language; there are {' and '.join(LANGUAGES)}")
    return wish


def page_of(past: PastRun, record: Record, language: Language | None) -> Path:
    """The run's page; written anew in another language than the charter's, or where it is missing."""
    from charter.release.report import render

    own = record.charter.report.language
    page = past.folder / "report.html"
    if language in (None, own) and page.exists():
        return page
    if language not in (None, own):
        page = past.folder / f"report.{language}.html"
    write_text(page, render(record, language=language))
    return page
