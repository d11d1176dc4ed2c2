"""`charter run --sweep`: one charter at several values of a key, in the terminal, as a page and as JSON."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from charter.cli.comparing import TONES, grid_of
from charter.cli.showing import RunView, console
from charter.errors import CharterError
from charter.runs.files import write_text

if TYPE_CHECKING:
    from charter.release.sweep import Swept


def run_sweep(
    charter: Path,
    asked: str,
    *,
    store: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Run every point, write the page, and show the table or print JSON.

    Raises:
        CharterError: as `charter.pipeline.sweeping.sweep`.
    """
    from charter import spec
    from charter.models.world import joined
    from charter.spec.sweep import read_sweep

    read_sweep(charter, asked)  # before torch is loaded
    with joined() as world:
        if world.size > 1:
            raise CharterError(
                "--sweep runs its points one after the other: start it without torchrun, with training.workers"
            )
    with RunView(spec.read(charter).report.language) as view:
        from charter.pipeline.sweeping import sweep  # after the view stands: it loads torch

        swept = sweep(
            charter,
            asked,
            store=store,
            on_event=view.event,
            on_progress=view.progress,
            on_point=lambda said: console(stderr=True).print(f"\n[bold]{escape(said)}[/]"),
        )
    place = page or page_place(store or charter.absolute().parent / "runs", swept)
    write_page(swept, place)
    if as_json:
        print(json.dumps(swept.as_json(), ensure_ascii=False, indent=1))
    else:
        show_sweep(swept, place)


def check_alone(*, draft: bool, continue_from: Path | None, release_to: Path | None) -> None:
    """Refuse options that a sweep has no use for.

    Raises:
        CharterError: one was given.
    """
    if draft or release_to is not None:
        raise CharterError(
            "--sweep packs nothing, so --draft and --release-to have nothing to do: run the charter itself at the value that you choose"
        )
    if continue_from is not None:
        raise CharterError("--sweep and --continue don't go together: write the bundle into model.base")


def page_place(store: Path, swept: "Swept") -> Path:
    """Where the page goes unless told otherwise: beside the comparisons; the same sweep writes over its own."""
    told = "\n".join([swept.name, swept.key, *(swept.record(one).charter.digest for one in swept.points)])
    return store.absolute() / "comparisons" / f"sweep-{hashlib.sha256(told.encode()).hexdigest()[:12]}.html"


def write_page(swept: "Swept", path: Path) -> None:
    """Write the sweep's page."""
    from charter.release.report.sweep import render_sweep

    write_text(path, render_sweep(swept))


def show_sweep(swept: "Swept", page: Path) -> None:
    """What is shown by the sweep, and its table."""
    from charter.release.report.sweep import points_table, sweep_opening
    from charter.release.report.wording import Wording

    say = Wording(swept.comparison.runs[0].record.charter.report.language)
    out, opening = console(), sweep_opening(swept, say)
    out.print(f"\n[bold]{escape(opening.title)}[/]")
    for cell in opening.failing:
        out.print(f"  [{TONES[cell.kind]}]{escape(cell.note)}[/]")
    for said in opening.lines:
        out.print(f"  {escape(said)}")
    out.print()
    out.print(grid_of(points_table(swept, say)))
    out.print(f"\n{say('sweep_page')}  {escape(str(page))}", soft_wrap=True)
