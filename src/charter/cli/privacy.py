"""`charter privacy`: what was spent of each data set's privacy and what is left, in the terminal, as a page and as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from charter.cli.application import app
from charter.errors import EXIT_NOT_VERIFIED, CharterError, CharterFileError

if TYPE_CHECKING:
    from charter.privacy.accounts import Account
    from charter.privacy.ledger import Ledger, Statement
    from charter.release.report.wording import Wording
    from charter.release.report.words import Language

WIDTH = 20
"""Characters of a bar."""
WHEN, RUN = 1, 2
"""The columns of times, which are never broken, and of runs."""
WIDEST_RUN = 34
"""Characters of a run that are kept in one line."""


@app.command()
def privacy(
    charter: Annotated[
        Path,
        typer.Option(
            "--charter", help="the charter, or its folder, whose ledger is meant", show_default=True
        ),
    ] = Path("charter.yaml"),
    store: Annotated[
        Path | None, typer.Option("--store", help="where runs are kept (default: runs/ beside the charter)")
    ] = None,
    ledger: Annotated[Path | None, typer.Option(help="the ledger's own folder")] = None,
    data: Annotated[list[str] | None, typer.Option(help="only this data id; may be repeated")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="check that this is the ledger that a bundle was released with, gone on from there"
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="write a page to this file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
    lang: Annotated[str | None, typer.Option(help="the language: en or zh (default: the charter's)")] = None,
) -> None:
    """Show what was spent of each data set's privacy budget, and what is left; checks every line of the ledger."""
    from charter.cli.reporting import language_of
    from charter.privacy.accounts import state_of
    from charter.privacy.ledger import Ledger
    from charter.release.report.ledger import ledger_json

    wish = language_of(lang)
    place = ledger if ledger is not None else _place(charter, store)
    kept = Ledger(place)
    if not kept.exists:
        _check_place(place, charter, store, ledger)
    statement = _chosen(kept.statement(), data)
    states = {one.number: state_of(one) for one in statement.record.charges}
    language = wish or _language(charter)
    if html is not None:
        _write_page(html, statement, states, language)
    if as_json:
        typer.echo(json.dumps(ledger_json(statement, states), ensure_ascii=False, indent=1))
    else:
        show_statement(statement, states, language, page=html)
    if bundle is not None and not _holds(kept, bundle, language):
        raise typer.Exit(EXIT_NOT_VERIFIED)


def _place(charter: Path, store: Path | None) -> Path:
    """The ledger's folder: where the charter says, else in the store."""
    from charter.cli.reporting import store_of
    from charter.spec.document import read_document

    home = store_of(charter, store) / "ledger"
    file = charter / "charter.yaml" if charter.is_dir() else charter
    try:
        said = read_document(file).value
    except CharterFileError:
        return home
    section = said.get("data")
    budget = section.get("privacy_budget") if isinstance(section, dict) else None
    named = budget.get("ledger") if isinstance(budget, dict) else None
    return (file.parent / named).absolute() if isinstance(named, str) and named else home


def _check_place(place: Path, charter: Path, store: Path | None, ledger: Path | None) -> None:
    """Refuse to say that nothing was spent of a place that is only mistyped."""
    named = {"--ledger": ledger, "--store": store}
    for option, folder in named.items():
        if folder is not None and not folder.is_dir():
            raise CharterError(f"{option} {folder}: no such folder")
    file = charter / "charter.yaml" if charter.is_dir() else charter
    if ledger is None and store is None and not file.is_file() and not place.parent.is_dir():
        raise CharterError(
            f"no privacy ledger in {place}, and no {file}: name the charter or its folder (--charter), the store (--store) or the "
            "ledger's own folder (--ledger)"
        )


def _language(charter: Path) -> "Language":
    from charter.spec.document import read_document

    file = charter / "charter.yaml" if charter.is_dir() else charter
    try:
        report = read_document(file).value.get("report")
    except CharterFileError:
        return "en"
    return "zh" if isinstance(report, dict) and report.get("language") == "zh" else "en"


def _chosen(statement: "Statement", data: list[str] | None) -> "Statement":
    from dataclasses import replace

    if not data:
        return statement
    known = {one.data for one in statement.accounts}
    strange = [one for one in data if one not in known]
    if strange:
        there = ", ".join(sorted(known)) or "none yet"
        raise CharterError(
            f"--data {strange[0]}: the ledger {statement.folder} has no such data; there are: {there}"
        )
    return replace(statement, accounts=tuple(one for one in statement.accounts if one.data in data))


def _write_page(path: Path, statement: "Statement", states: Mapping[int, str], language: "Language") -> None:
    import time

    from charter.release.report.ledger import render_ledger
    from charter.runs.files import write_text

    created = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    write_text(path, render_ledger(statement, states, language=language, created=created))


def _holds(ledger: "Ledger", bundle: Path, language: "Language") -> bool:
    """Say whether a bundle was released with this ledger."""
    from charter.release.record import RECORD, read_record
    from charter.release.report.wording import Wording

    origin = read_record(bundle / "charter" / RECORD).provenance
    head = (origin.get("privacy") or {}).get("ledger")
    if not head:
        raise CharterError(
            f"{bundle} carries no head of a privacy ledger: it was trained without differential privacy"
        )
    found = ledger.holds(int(head["lines"]), str(head["hash"]))
    told = {
        "bundle": bundle,
        "line": head["lines"],
        "hash": str(head["hash"])[:16],
        "data": head.get("data", "?"),
    }
    say = Wording(language)
    typer.echo(f"✓ {say('ledger_holds', **told)}" if found else f"✗ {say('ledger_holds_not', **told)}")
    return found


def show_statement(
    statement: "Statement", states: Mapping[int, str], language: "Language", *, page: Path | None = None
) -> None:
    """The accounts as a table with bars, and a table of the runs of each."""
    from rich.table import Table as Grid

    from charter.cli.showing import console
    from charter.release.report.ledger import ledger_opening, said
    from charter.release.report.wording import Wording

    say, out = Wording(language), console()
    comma, colon = ("，", "：") if language == "zh" else (", ", ": ")
    opening = ledger_opening(statement, say)
    out.print(f"[bold]{escape(opening.title)}[/]")
    if not statement.accounts:
        out.print(f"  {escape(opening.why)}")
        out.print(f"{say('ledger_place')}  {escape(str(statement.folder))}", soft_wrap=True)
        return
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for name in ("data", "unit", "spent", "budget", "left", "runs"):
        grid.add_column(
            say(f"ledger_{name}"), justify="right" if name in ("budget", "left", "runs") else "left"
        )
    for one in statement.accounts:
        grid.add_row(
            escape(one.data),
            comma.join((say(f"ledger_unit_{one.unit}"), say(f"ledger_{one.neighbouring}"))),
            _bar(one, said(one.spent, say)),
            say("ledger_no_budget") if one.budget is None else f"{one.budget.epsilon:g}",
            "–" if one.left is None else said(one.left, say),
            str(len(one.charges)),
        )
    out.print(grid)
    for one in statement.accounts:
        if one.because:
            out.print(f"[red]{escape(one.data)}{colon}{escape(say(f'ledger_because_{one.because}'))}[/]")
        out.print(
            f"\n[bold]{escape(say('ledger_charges', data=one.data))}[/]  [dim]{say('ledger_delta', delta=f'{one.delta:g}')}[/]"
        )
        _show_charges(one, states, say)
    _foot(statement, say, page)


def _show_charges(account: "Account", states: Mapping[int, str], say: "Wording") -> None:
    """The runs of an account: a table, and below it what each consisted of, which is too long for a column."""
    from rich.table import Table as Grid

    from charter.cli.comparing import TONES
    from charter.cli.showing import console
    from charter.release.report.ledger import charges_table

    table, out = charges_table(account, states, say), console()
    *shown, _made, state = table.headings
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    longest = max((len(row[RUN].text) for row in table.rows), default=0)
    for place, heading in enumerate((*shown, state)):
        grid.add_column(
            escape(heading.text),
            justify="right" if heading.number else "left",
            no_wrap=place == WHEN,
            min_width=min(longest, WIDEST_RUN) if place == RUN else None,
            overflow="fold",
        )
    for *cells, _, ended in table.rows:
        tone = TONES.get(ended.kind, "")
        said = f"[{tone}]{escape(ended.text)}[/]" if tone else escape(ended.text)
        grid.add_row(*(escape(cell.text) for cell in cells), said)
    out.print(grid)
    colon = "：" if say.language == "zh" else ": "
    for (number, *_, alone, _, consisted, ended), charge in zip(table.rows, account.charges, strict=True):
        cost = f"{say('ledger_alone')} {alone.text} {alone.note}"
        told = [consisted.text, cost, ended.note] if charge.mechanisms else [ended.note]
        if any(told):
            line = f"{say('ledger_number')} {number.text}{colon}{' · '.join(one for one in told if one)}"
            out.print(f"[dim]{escape(line)}[/]", soft_wrap=True)


def _foot(statement: "Statement", say: "Wording", page: Path | None) -> None:
    from charter.cli.showing import console
    from charter.release.report.ledger import ledger_opening

    out = console()
    out.print()
    colon = "：" if say.language == "zh" else ": "
    accountants = dict.fromkeys(one.accountant for one in statement.record.charges if one.accountant)
    for name in accountants:
        out.print(f"[dim]{say('ledger_accountant')}{colon}{escape(say.said(name))}[/]")
    for told in ledger_opening(statement, say).lines:
        out.print(f"[green]✓[/] {escape(told)}")
    out.print(f"{say('ledger_place')}  {escape(str(statement.folder))}", soft_wrap=True)
    if page is not None:
        out.print(f"{say('ledger_page')}  {escape(str(page))}", soft_wrap=True)


def _bar(account: "Account", said: str) -> str:
    """What is spent as a bar of its budget, with the number."""
    if account.budget is None:
        return said
    share = min(account.spent / account.budget.epsilon, 1.0)
    full = round(share * WIDTH)
    tone = "red" if account.spent > account.budget.epsilon else "yellow" if share > 0.9 else "green"
    return f"[{tone}]{'█' * full}[/][dim]{'░' * (WIDTH - full)}[/] {said}"
