"""`charter init`: look at the data, say what each column is taken for and why, ask or guess, write a commented charter."""

import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import typer

from charter import plugins
from charter.cli.drafting import (
    Draft,
    Fit,
    charter_of,
    fit_of,
    notes_of,
    personal,
    privacy_note,
    test_rows,
    unfit,
)
from charter.cli.origins import Origin, find_origin
from charter.cli.showing import bar, console
from charter.data.columns import Columns
from charter.data.guess import Guess, Roles, guess_roles
from charter.data.look import Look, TextLook, look_at, said, text_look
from charter.data.reading import absent_columns
from charter.errors import CharterError, DataError
from charter.runs.files import write_text
from charter.spec.metrics import BEFORE_A_TASK, LANGUAGE_MODELS
from charter.spec.model import Charter
from charter.spec.writing import commented

TEXTS_ALONE = tuple(one for one in LANGUAGE_MODELS if one not in BEFORE_A_TASK)
"""Language models, which learn from the texts themselves."""
TARGETLESS = ("sentence_embedding", *TEXTS_ALONE)
"""Tasks that predict no column."""
MASKED = "masked_language_modelling"
NONE = "-"
"""Said for a role that no column has."""


@dataclass(frozen=True)
class Wishes:
    """What the user said on the command line; None where nothing was said, NONE for no column."""

    name: str | None = None
    text: tuple[str, ...] | None = None
    target: tuple[str, ...] | None = None
    task: str | None = None
    base: str = "sample:minilm"
    groups: tuple[str, ...] | None = None
    subject: str | None = None
    encoding: str | None = None
    validation: str | None = None
    test: str | None = None


def start(data: str, out: Path, wishes: Wishes, *, ask: bool, force: bool) -> None:
    """Write a charter for a data set.

    Raises:
        CharterError: the charter is there already, the data can't be read, or a column can't be guessed.
    """
    if wishes.task is not None and wishes.task not in plugins.names("task"):
        near = difflib.get_close_matches(wishes.task, plugins.names("task"), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise CharterError(
            f"--task {wishes.task}: no such task.{hint} Tasks: {', '.join(plugins.names('task'))}"
        )
    if out.exists() and not force:
        raise CharterError(f"{out} is there already; --force writes over it, --out names another")
    if out.parent != Path() and not out.parent.is_dir():
        raise CharterError(f"--out {out}: there is no folder {out.parent}")
    origin = find_origin(data, validation=wishes.validation, test=wishes.test)
    with bar("Look at the data"):
        look = look_at(origin.location, Path(), encoding=wishes.encoding)
    _say_look(origin, look)
    roles, draft = _decide(origin, look, wishes, out, asks=ask and sys.stdin.isatty())
    about = text_look(look, draft.texts)
    fit = Fit() if draft.new else fit_of(draft.base, out.resolve().parent, _some_texts(look, draft))
    charter = charter_of(draft, look, about, fit)
    notes = {**notes_of(draft, roles, look, about, fit), **privacy_note(charter, look, out)}
    write_text(out, commented(charter, notes))
    _say_choices(charter, roles, draft, look)
    _say_texts(charter, about, fit)
    console().print(
        f"\nWrote {out}. Read it, above all purpose and limits; then: charter check {out}",
        markup=False,
        soft_wrap=True,
    )


def _some_texts(look: Look, draft: Draft) -> list[str]:
    """Some of what the model will read at once: the same share of each kind of sequence."""
    most = max(1, 2_000 // len(draft.sequences))
    found: list[str] = []
    for columns in draft.sequences:
        cells = said(look.frame, columns).drop_nulls()
        some = cells.sample(min(len(cells), most), seed=7)
        found += (some.list.join(" ") if isinstance(some.dtype, pl.List) else some).to_list()
    return found


def _decide(origin: Origin, look: Look, wishes: Wishes, out: Path, *, asks: bool) -> tuple[Roles, Draft]:
    """Every role by what was said, asked or guessed, in that order."""
    names = [one.name for one in look.columns]
    roles = guess_roles(look, text=_known("text", wishes.text, names))
    text = _choose(
        "text", "Which column holds the text, or which several?", wishes.text, roles.text, names, asks
    )
    why = roles.text if text == roles.text.columns else Guess(text, "as you said")
    known = None if wishes.task in TARGETLESS else _known("target", wishes.target, names)
    roles = guess_roles(look, text=text, target=known)
    if wishes.task in TARGETLESS:
        _check_targetless(wishes, text)
        target: tuple[str, ...] = ()
    else:
        none = wishes.task is None and (
            roles.task.column in TARGETLESS or (asks and not roles.target.columns)
        )
        target = _choose_target(wishes.target, roles.target, names, asks, none=none)
    both = [name for name in text if name in target]
    if both:
        raise CharterError(f"'{both[0]}' can't be both the text and the target")
    if target != roles.target.columns:
        roles = guess_roles(look, text=text, target=target)
    roles = replace(roles, text=why)
    guessed = roles.task.column
    task = wishes.task or str(guessed if target or guessed in TARGETLESS else MASKED)
    if asks and wishes.task is None:
        task = typer.prompt(f"Which task? ({', '.join(plugins.names('task'))})", default=task)
    others = [name for name in names if name not in (*text, *target)]
    groups = _choose_groups(wishes.groups, roles.groups, others, asks)
    subject = _choose_subject(wishes.subject, roles.subject, others, asks)
    several = target if len(target) > 1 else ()
    one = target[0] if len(target) == 1 else None
    columns = Columns(dict.fromkeys(text, "text"), one, groups, subject, indicators=several)
    parts = _usable_parts(origin, columns, look.encoding, wishes)
    origin = replace(origin, parts=parts)
    name = wishes.name or re.sub(r"[^\w.\-]", "-", origin.name).lstrip(".-")[:80] or "model"
    split = roles.split.column if roles.split.column not in (*text, *target, subject) else None
    options = roles.options if task in (roles.task.column, "multi_label_classification") else {}
    draft = Draft(
        name, origin.written_beside(out), wishes.base, task, text, target, groups, subject,
        split, tuple(parts) or look.published, origin.licence, options,
    )  # fmt: skip
    return roles, draft


def _check_targetless(wishes: Wishes, text: tuple[str, ...]) -> None:
    if wishes.target not in (None, (NONE,)):
        raise CharterError(
            f"--target {wishes.target[0]}: task {wishes.task} predicts no column"
            + ("" if wishes.task in TEXTS_ALONE else "; sentence_similarity learns a score")
        )
    if len(text) < 2 and wishes.task not in TEXTS_ALONE:
        raise CharterError(
            f"task {wishes.task} reads texts that belong together, and only '{text[0]}' is known to be one; say --text twice"
        )


def _usable_parts(origin: Origin, columns: Columns, encoding: str, wishes: Wishes) -> dict[str, str]:
    """The published parts that have the columns; one without the target can judge nothing and is left out."""
    usable = {}
    for name, place in origin.parts.items():
        problems = absent_columns(place, Path(), columns, encoding)
        if not problems:
            usable[name] = place
        elif not set(problems) <= {columns.target, *columns.indicators} or place in (
            wishes.test,
            wishes.validation,
        ):
            raise DataError(f"{place}: {next(iter(problems.values()))}")
        else:
            console().print(
                f"{place} has no '{next(iter(problems))}': nothing can be judged on it, it is left out",
                markup=False,
            )
    return usable if len(usable) > 1 else {}


def _known(role: str, wish: tuple[str, ...] | None, names: Sequence[str]) -> tuple[str, ...] | None:
    if wish == (NONE,) and role == "target":
        return ()
    for one in wish or ():
        if one not in names:
            raise CharterError(f"--{role} {one}: {_no_column(one, names)}")
    return wish


def _no_column(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"no such column.{hint} Columns: {', '.join(names) or 'none'}"


def _choose(
    role: str, question: str, wish: tuple[str, ...] | None, guess: Guess, names: Sequence[str], asks: bool
) -> tuple[str, ...]:
    if wish is not None:
        return wish
    if asks:
        return _ask(question, guess, names)
    if guess.column is None:
        alone = f", or --task {MASKED} to learn from the texts alone" if role == "target" else ""
        raise CharterError(
            f"which column is the {role} can't be guessed ({guess.why}); say --{role} with one of: {', '.join(names)}{alone}"
        )
    return guess.columns


def _choose_target(
    wish: tuple[str, ...] | None, guess: Guess, names: Sequence[str], asks: bool, *, none: bool
) -> tuple[str, ...]:
    """What is to be predicted; nothing where texts only belong together."""
    if wish is not None:
        return () if wish == (NONE,) else wish
    if asks:
        return _ask("Which column is to be predicted?", guess, names, optional=none)
    return () if none else _choose("target", "", None, guess, names, asks)


def _choose_groups(
    wish: tuple[str, ...] | None, guess: Guess, names: Sequence[str], asks: bool
) -> tuple[str, ...]:
    if wish is not None:
        wanted = tuple(dict.fromkeys(one for one in wish if one != NONE))
        for one in wanted:
            _known("group", (one,), names)
        return wanted
    if asks and names:
        return _ask("Which columns tell groups apart that must be measured?", guess, names, optional=True)
    return guess.columns


def _choose_subject(wish: str | None, guess: Guess, names: Sequence[str], asks: bool) -> str | None:
    if wish is not None:
        return None if wish == NONE else (_known("subject", (wish,), names) or (None,))[0]
    if asks and names:
        found = _ask("Which column names the person a row is about?", guess, names, optional=True)
        return found[0] if found else None
    return guess.column


def _ask(question: str, guess: Guess, names: Sequence[str], *, optional: bool = False) -> tuple[str, ...]:
    """Ask until the answer names columns; an optional role may be answered by NONE."""
    console().print(f"  ({guess.why})", markup=False)
    none = f"; {NONE} for none" if optional else ""
    while True:
        default = ", ".join(guess.columns) or (NONE if optional else None)
        said = typer.prompt(f"{question} ({', '.join(names)}{none})", default=default)
        if optional and said.strip() in (NONE, ""):
            return ()
        # a name may hold a comma itself
        wanted = (said.strip(),) if said.strip() in names else tuple(one.strip() for one in said.split(","))
        wrong = [one for one in wanted if one not in names]
        if not wrong:
            return tuple(dict.fromkeys(wanted))
        console().print(f"  {_no_column(wrong[0], names)}", markup=False)


def _say_look(origin: Origin, look: Look) -> None:
    size = (
        f"{look.read:,} rows" if look.whole else f"{look.read:,} rows read, {look.rows:,} of them looked at"
    )
    bad = f", {look.rejected:,} can't be read" if look.rejected else ""
    encoding = "" if look.encoding == "utf-8" else f", text in {look.encoding}"
    published = f", splits {', '.join(look.published)}" if look.published else ""
    lines = [f"{origin.location}: {size}{bad}, {len(look.columns)} columns{encoding}{published}"]
    lines += [f"  {origin.said}"] if origin.said else []
    console().print("\n".join(lines), markup=False, soft_wrap=True)


def _say_choices(charter: Charter, roles: Roles, draft: Draft, look: Look) -> None:
    """A line for each role: what it is, and why."""
    split = (
        roles.split.why
        if draft.split
        else f"about {test_rows(draft, look):,} rows to judge on, likes kept together"
    )
    if draft.parts:
        split = f"{', '.join(draft.parts)} as published"
    lines = [
        ("text", ", ".join(draft.texts), roles.text.why),
        ("target", ", ".join(draft.targets) or NONE, _why_target(roles, draft)),
        ("task", draft.task, roles.task.why if draft.task == roles.task.column else "as you said"),
        ("groups", ", ".join(draft.groups) or NONE, _why(draft.groups, roles.groups)),
        ("subject", draft.subject or NONE, roles.subject.why),
        ("split", draft.split or ("given" if draft.parts else "random"), split),
        ("length", str(charter.model.max_length), "tokens at which a text is cut"),
    ]
    if roles.time.column is not None:
        lines.append(("time", roles.time.column, "could order the split: split: {time: ...}"))
    wide = max(len(what) for _, what, _ in lines)
    text = "\n".join(f"  {role:<8} {what:<{min(wide, 24)}}  {why}" for role, what, why in lines)
    console().print(text, markup=False, soft_wrap=True)


def _why_target(roles: Roles, draft: Draft) -> str:
    if not draft.targets and draft.task != roles.task.column:
        return f"task {draft.task} predicts no column"
    return roles.target.why


def _why(columns: tuple[str, ...], guess: Guess) -> str:
    """The reason of a guess where it was followed."""
    return guess.why if columns == guess.columns else "as you said"


def _say_texts(charter: Charter, about: TextLook, fit: Fit) -> None:
    """What the texts are like, and what that means for the charter."""
    found = personal(about)
    said = (
        f"found {found}; mask_pii masks them"
        if found
        else "none found by its form; mask_pii stays on for new rows"
    )
    lines = [f"  personal data: {said} (names and addresses are not found by form)"]
    if about.duplicates >= 0.001:
        lines.append(
            f"  duplicates: {about.duplicates:.1%} of the texts stand there already; one of each is kept"
        )
    if not fit.reads_well:
        lines.append(
            f"  ! {charter.model.base} {unfit(fit)}: it hardly reads this language; name another with --base"
        )
    elif about.chinese > 0.5 and charter.model.base == "sample:minilm":
        lines.append("  ! sample:minilm reads English: name a Chinese base with --base")
    if about.chinese > 0.5:
        lines.append("  the texts are Chinese: the report will be too (report.language: zh)")
    console().print("\n".join(lines), markup=False, soft_wrap=True)
