"""The commands that make runs and look at them. Each reads its arguments, calls one public function and shows what came back."""

import json
from pathlib import Path
from typing import Annotated

import typer

from charter.cli.application import app
from charter.errors import EXIT_NOT_RELEASED, CharterError

DEFAULT_CHARTER = Path("charter.yaml")
CharterFile = Annotated[Path, typer.Argument(help="the charter file", show_default=True)]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="where runs are kept (default: runs/ beside the charter)")
]
CharterOption = Annotated[
    Path,
    typer.Option("--charter", help="the charter, or its folder, whose runs are meant", show_default=True),
]


@app.command()
def init(
    data: Annotated[
        str,
        typer.Argument(
            help="a file (csv, tsv, jsonl, parquet, conll, xlsx; packed too), a quoted glob, a folder of files or "
            "documents, sql:URL#TABLE, sample:NAME or hf:ID"
        ),
    ],
    out: Annotated[Path, typer.Option(help="the charter to write")] = Path("charter.yaml"),
    name: Annotated[str | None, typer.Option(help="the model's name (default: from the file's name)")] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="the column that holds the text; may be repeated, for a pair or a title and a body"
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="the column to predict; may be repeated, for columns of 0 and 1, one per label"),
    ] = None,
    task: Annotated[str | None, typer.Option(help="the task, such as classification or regression")] = None,
    base: Annotated[
        str, typer.Option(help="the base model: sample:NAME, a folder or a hub id")
    ] = "sample:minilm",
    group: Annotated[
        list[str] | None, typer.Option(help="a column to audit by group; may be repeated; - for none")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="the column naming the person a row is about; - for none")
    ] = None,
    validation: Annotated[str | None, typer.Option(help="a published validation part")] = None,
    test: Annotated[
        str | None, typer.Option(help="a published test part; DATA is then the training part")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="the text encoding (default: guessed)")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="take every guess without asking")] = False,
    force: Annotated[bool, typer.Option(help="write over an existing charter")] = False,
) -> None:
    """Look at the data, say what each column is taken for, ask or guess, write a commented charter.yaml."""
    from charter.cli.starting import Wishes, start

    groups = tuple(group) if group else None
    texts, targets = tuple(text) if text else None, tuple(target) if target else None
    wishes = Wishes(name, texts, targets, task, base, groups, subject, encoding, validation, test)
    start(data, out, wishes, ask=not yes, force=force)


@app.command()
def check(
    charter: CharterFile = Path("charter.yaml"),
    defaults: Annotated[
        bool, typer.Option("--defaults", help="print the file with its defaults filled in")
    ] = False,
) -> None:
    """Say every problem of the charter at once, each with its line."""
    from charter import spec

    found = spec.read_with_notes(charter)
    checked = found.charter
    for note in found.notes:
        typer.echo(f"{note.file}:{note.line}  note: {note.path}: {note.message}", err=True)
    if defaults:
        typer.echo(spec.written(checked), nl=False)
    else:
        typer.echo(f"{charter}: no problem found (charter {checked.digest[:12]})")


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="write to a file instead of the terminal")] = None,
) -> None:
    """Print the JSON Schema of the charter file, for editors."""
    from charter import spec
    from charter.runs.files import write_text

    text = json.dumps(spec.json_schema(), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)


@app.command()
def run(
    charter: CharterFile = Path("charter.yaml"),
    draft: Annotated[
        bool, typer.Option("--draft", help="pack the model even when a limit is not kept, marked as refused")
    ] = False,
    continue_from: Annotated[
        Path | None,
        typer.Option(
            "--continue",
            help="a released bundle that the model goes on from, keeping what it knows (section continual)",
        ),
    ] = None,
    store: StoreOption = None,
    release_to: Annotated[
        Path | None, typer.Option(help="where bundles go (default: release/ beside the charter)")
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            help="KEY=VALUE,VALUE,...: run the charter at each of these values of a key, such as privacy.epsilon=1,3,8,inf, and compare; "
            "nothing is packed or released"
        ),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="where a sweep's page goes (default: comparisons/ in the store)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a sweep as JSON")] = False,
) -> None:
    """Prepare, train, audit, judge, and release the model if every limit is kept (exit code 3 if not).

    Started by `torchrun --nproc-per-node 2 -m charter run ...`, several processes share the training.
    """
    if sweep is not None:
        from charter.cli.sweeping import check_alone, run_sweep

        check_alone(draft=draft, continue_from=continue_from, release_to=release_to)
        return run_sweep(charter, sweep, store=store, page=page, as_json=as_json)
    if page is not None or as_json:
        raise CharterError(
            "--page and --json of `charter run` are for --sweep; `charter report` has a run's page and JSON"
        )
    from charter import spec
    from charter.cli.showing import RunView, show_summary
    from charter.models.world import joined

    with joined() as world:
        if world.rank > 0:
            from charter.training.sharing import follow

            return follow(world)
        with RunView(spec.read(charter).report.language) as view:
            from charter import pipeline  # after the view stands: it loads torch

            result = pipeline.run(
                charter,
                store=store,
                release_to=release_to,
                draft=draft,
                continue_from=continue_from,
                on_event=view.event,
                on_progress=view.progress,
                world=world,
            )
    show_summary(result.record, report=result.report, bundle=result.bundle)
    if not result.released:
        raise typer.Exit(EXIT_NOT_RELEASED)


@app.command()
def report(
    run_id: Annotated[
        str | None, typer.Argument(help="the run, or the beginning of its id (default: newest)")
    ] = None,
    charter: CharterOption = DEFAULT_CHARTER,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the evidence as JSON")] = False,
    datasheet: Annotated[
        bool, typer.Option("--datasheet", help="print the datasheet of the run's data as Markdown")
    ] = False,
    croissant: Annotated[
        bool, typer.Option("--croissant", help="print the Croissant metadata of the run's data as JSON-LD")
    ] = False,
    open_questions: Annotated[
        Path | None,
        typer.Option(help="write the datasheet's open questions to this YAML file, to be answered"),
    ] = None,
    lang: Annotated[
        str | None, typer.Option(help="the language here and of the page: en or zh (default: the charter's)")
    ] = None,
) -> None:
    """Show a run's evidence: a summary here, and the path of the page."""
    from charter.cli import reporting
    from charter.cli.reporting import language_of, page_of, record_of, store_of
    from charter.cli.showing import show_summary
    from charter.release.report import as_json as evidence

    language = language_of(lang)
    named = None if store is not None and charter == DEFAULT_CHARTER else reporting.name_of(charter)
    past, record = record_of(store_of(charter, store), run_id, named)
    if as_json or croissant:
        value = evidence(record) if as_json else reporting.croissant_of(record)
        typer.echo(json.dumps(value, ensure_ascii=False, indent=1))
        return
    if datasheet:
        from charter.release.datasheet import datasheet_markdown

        typer.echo(datasheet_markdown(record, language=language), nl=False)
        return
    if open_questions is not None:
        typer.echo(reporting.write_open_questions(record, open_questions, language))
        return
    page = page_of(past, record, language)
    show_summary(record, report=page, bundle=past.record.get("bundle"), language=language)


@app.command()
def compare(
    run: Annotated[
        list[str],
        typer.Argument(
            help="two or more: a run's id or its beginning, a charter's name (its newest run), a run's folder, a bundle, "
            "or a charter file; the others are compared with the first",
        ),
    ],
    charter: CharterOption = Path("charter.yaml"),
    store: StoreOption = None,
    page: Annotated[
        Path | None, typer.Option(help="where the page goes (default: comparisons/ in the store)")
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="of the intervals; 1 - it is the level of the tests")
    ] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="print the comparison as JSON")] = False,
    lang: Annotated[
        str | None,
        typer.Option(help="the language here and of the page: en or zh (default: the first charter's)"),
    ] = None,
) -> None:
    """Compare judged runs: scores, a paired test on the same test rows, cost, limits, what their charters say otherwise."""
    from charter.cli.comparing import page_place, show_comparison, write_page
    from charter.cli.reporting import language_of, store_of
    from charter.pipeline.comparing import compare as compare_runs
    from charter.runs.store import Store

    language, place = language_of(lang), store_of(charter, store)
    comparison = compare_runs(run, store=place, confidence=confidence)
    if page is None and Store(place).is_marked():
        page = page_place(place, [one.record.run_id for one in comparison.runs])
    if page is not None:
        write_page(comparison, page, language)
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), ensure_ascii=False, indent=1))
    else:
        show_comparison(comparison, page, language)


@app.command()
def runs(
    charter: CharterOption = Path("charter.yaml"),
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
) -> None:
    """List the runs on record, oldest first."""
    from charter.cli.reporting import store_of
    from charter.cli.showing import show_runs
    from charter.runs.run import list_runs
    from charter.runs.store import Store

    place = store_of(charter, store)
    found = list_runs(Store(place))
    if as_json:
        listed = [{**one.record, "id": one.id, "status": one.status} for one in found]
        typer.echo(json.dumps(listed, ensure_ascii=False, indent=1))
    else:
        show_runs(found, place)


@app.command()
def gc(
    charter: CharterOption = Path("charter.yaml"),
    store: StoreOption = None,
    keep: Annotated[int | None, typer.Option(help="keep only the newest so many runs of each name")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, remove nothing")] = False,
) -> None:
    """Remove what no run on record needs any more."""
    from charter.cli.reporting import store_of
    from charter.cli.showing import show_cleaning
    from charter.runs.gc import clean
    from charter.runs.store import Store

    cleaning = clean(Store(store_of(charter, store)), keep=keep, dry_run=dry_run)
    show_cleaning(cleaning, dry_run=dry_run)
    if cleaning.failed:
        raise CharterError(f"could not be removed: {'; '.join(cleaning.failed)}")
