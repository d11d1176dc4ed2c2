"""A past run's record and page."""

from pathlib import Path
from typing import Any, Literal, get_args

from charter.errors import CharterError, CharterFileError, StoreError
from charter.release.record import RECORD, Record, newest_judged, read_record
from charter.runs.files import write_text
from charter.runs.run import PastRun, find_run
from charter.runs.store import Store
from charter.spec.document import read_document

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


def name_of(charter: Path) -> str | None:
    """The name of the charter whose runs are meant; None where there is no charter to read, so that every run is.

    A charter with other mistakes still has a name.
    """
    file = charter / "charter.yaml" if charter.is_dir() else charter
    try:
        name = read_document(file).value.get("name")
    except CharterFileError:
        return None
    return name if isinstance(name, str) else None


def record_of(store: Path, run_id: str | None, name: str | None = None) -> tuple[PastRun, Record]:
    """The run asked for, or the newest one (of a charter's name) that was judged, with its record.

    Raises:
        StoreError: no such run, or one that was never judged.
    """
    kept = Store(store)
    past = newest_judged(kept, name) if run_id is None else find_run(kept, run_id)
    path = past.folder / RECORD
    if not path.exists():
        raise StoreError(f"run {past.id} ended as '{past.status}' before it was judged: it has no report")
    return past, read_record(path)


def croissant_of(record: Record) -> dict[str, Any]:
    """The Croissant metadata of a run's data, its files named as seen from the run's folder."""
    from charter.release.croissant import croissant, files_beside

    return croissant(record, beside=files_beside(record))


def write_open_questions(record: Record, path: Path, language: Language | None) -> str:
    """Write a file to answer the datasheet's open questions; says what to do with it.

    Raises:
        CharterError: the file is there already; answers are never written over.
    """
    from charter.release.datasheet import datasheet, open_questions

    if path.exists():
        raise CharterError(f"{path} is there already, and answers are never written over; name another file")
    chosen = language or record.charter.report.language
    write_text(path, open_questions(record, chosen))
    count = datasheet(record).counts["open"]
    return f"Wrote {path}: {count} open questions. Answer them, and name the file in the charter: data: {{datasheet: {path.name}}}"


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


def language_of_bundle(bundle: Path) -> Language:
    """The language of a bundle's charter; English where that can't be read."""
    try:
        return read_record(bundle / "charter" / RECORD).charter.report.language
    except CharterError:
        return "en"


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
