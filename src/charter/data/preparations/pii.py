"""Mask personal data: by form (numbers with check digits, addresses of e-mail, plates), and by a detector (names, addresses).

Without a detector names, street addresses and organisations are not found, and not promised; with one some of them are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from charter import plugins
from charter.data.columns import Columns
from charter.data.detecting import Detector
from charter.data.edits import Edits, applied
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.preparations.forms import EVERY_KIND, Locale, find, flagged, kinds_of, placeholders
from charter.data.preparations.masking import Masker, Shown, placeholder
from charter.data.preparations.pseudonyms import fingerprint, pseudonyms, read_key
from charter.data.preparations.searches import Kind
from charter.errors import DataError, OptionError
from charter.runs.digest import value_digest

FORMS = "forms"
Names = Annotated[str, Field(min_length=1)]


def mask_pii(
    folder: Path = Path(),
    *,
    locales: Annotated[
        tuple[Locale, ...], Field(min_length=1, description="whose forms are looked for: en, zh")
    ] = ("en", "zh"),
    urls: Annotated[bool, Field(description="mask web addresses too")] = False,
    handles: Annotated[bool, Field(description="mask @handles too")] = False,
    model: Annotated[
        Names | None,
        Field(description="the folder of a released bundle of task token_classification: what it finds is masked too"),
    ] = None,
    engine: Annotated[
        Names, Field(description="a further detector beside forms: forms (none), presidio, or a plug-in's")
    ] = FORMS,
    engine_model: Annotated[
        Names | None, Field(description="presidio: an installed spaCy model; default: no model, so no names")
    ] = None,
    labels: Annotated[
        dict[Names, Names | None],
        Field(description="what the model or engine calls things -> the kind shown; null: it stays"),
    ] = {},  # noqa: B006  (never changed)
    threshold: Annotated[
        float, Field(ge=0, le=1, description="how sure the model or engine must be of what it finds")
    ] = 0.5,
    replace: Annotated[
        Literal["placeholder", "pseudonym"],
        Field(description="placeholder: [PERSON]; pseudonym: [PERSON-3f9a0c77e1], the same for the same value and key"),
    ] = "placeholder",
    key: Annotated[
        Names | None, Field(description="the key of pseudonyms, made by `charter pseudonym-key`; outside of the store")
    ] = None,
) -> Preparation:
    """Mask e-mail, phone, card, IBAN, plates and documents by form; names and addresses by a model or engine.

    Check digits are verified. Of what a detector finds nothing is masked inside of what a form told.
    """
    _check(model, engine, engine_model, labels, replace, key)
    kinds = kinds_of(locales, urls=urls, handles=handles)
    key_file = _key_file(folder, key)

    @cache
    def detector() -> Detector | None:
        if model is not None:
            found: Detector = plugins.make(
                "detector", "bundle", {"path": model, "labels": labels, "threshold": threshold}, folder
            )
            return found
        if engine == FORMS:
            return None
        options: dict[str, Any] = {"labels": labels, "threshold": threshold}
        options |= {"model": engine_model} if engine_model is not None else {}
        other: Detector = plugins.make("detector", engine, options, folder)
        return other

    @cache
    def masker() -> Masker:
        asked = detector()
        shown: Shown = placeholder if key_file is None else pseudonyms(read_key(key_file))
        known = asked.kinds() if asked is not None else frozenset()
        return Masker(kinds, shown, asked, placeholders(known))

    def digest(columns: Columns) -> str:
        del columns
        asked = detector()
        return value_digest(
            {
                "detector": asked.digest() if asked is not None else None,
                "key": fingerprint(read_key(key_file)) if key_file is not None else None,
            }
        )

    told = model is not None or engine != FORMS or key is not None
    return Preparation(row_wise=True, apply=_applying(masker), digest=digest if told else None)


def _applying(masker: Callable[[], Masker]) -> Callable[[pl.DataFrame, Columns], Outcome]:
    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        counts: Counter[str] = Counter()
        made: dict[str, Edits] = {}
        for column in columns.inputs:
            cells = frame[column]
            if isinstance(cells.dtype, pl.List):
                frame = frame.with_columns(masker().masked_words(cells, counts))
            else:
                masked, done = masker().masked_texts(cells, counts)
                frame = frame.with_columns(masked)
                made |= done
        told = {f"masked.{name}": count for name, count in sorted(counts.items())}
        return Outcome(frame, nothing_dropped(), told, lambda text: (made.get(text, ()),))

    return apply


def _check(
    model: str | None, engine: str, engine_model: str | None, labels: dict[str, str | None], replace: str, key: str | None
) -> None:
    """Refuse options that don't go together.

    Raises:
        OptionError: they don't.
    """
    said = "preparation 'mask_pii': "
    if engine not in (FORMS, *plugins.names("detector")) or engine == "bundle":
        known = ", ".join((FORMS, *(name for name in plugins.names("detector") if name != "bundle")))
        raise OptionError(f"{said}unknown engine '{engine}'. Known: {known}")
    if model is not None and engine != FORMS:
        raise OptionError(f"{said}name a model or an engine, not both; list mask_pii twice to use both")
    if engine_model is not None and engine == FORMS:
        raise OptionError(f"{said}engine_model is of an engine: name one, such as engine: presidio")
    if labels and model is None and engine == FORMS:
        raise OptionError(f"{said}labels are of a model or an engine: name one")
    if bad := [name for name in labels.values() if name is not None and not name.replace("_", "").isalpha()]:
        raise OptionError(f"{said}labels: a kind is letters and _, such as PERSON; {len(bad)} are not")
    if (replace == "pseudonym") != (key is not None):
        raise OptionError(
            f"{said}pseudonyms need a key: {{use: mask_pii, replace: pseudonym, key: PATH}}, made once by `charter pseudonym-key PATH`"
        )


def _key_file(folder: Path, key: str | None) -> Path | None:
    return None if key is None else folder / Path(key).expanduser()


def check_key_outside(place: str, folder: Path, store: Path) -> None:
    """Refuse a key of pseudonyms that lies in the store, whose artefacts it would open.

    Raises:
        DataError: it does.
    """
    path = folder / Path(place).expanduser()
    if path.resolve().is_relative_to(store.resolve()):
        raise DataError(f"data.prepare, mask_pii: the key {path} lies in the store {store}; keep it elsewhere")


def count_pii(texts: pl.Series) -> Counter[str]:
    """How many places of each type the texts hold that `mask_pii` could mask by form, all options on; nothing is changed."""
    held = texts.filter(flagged(texts, EVERY_KIND))
    return Counter(one.name for text in held.to_list() for one in find(text, EVERY_KIND))


def personal_kinds(values: Iterable[object]) -> Counter[str]:
    """How many of the values hold each type of personal data; a value counts once for each type.

    For columns that are kept as they are (groups, targets, subjects): web addresses and handles are not looked for.
    Numbers are read by their digits; missing values hold nothing.
    """
    times = Counter(str(value) for value in values if value is not None)
    texts = pl.Series(list(times), dtype=pl.String)
    kinds = kinds_of(("en", "zh"), urls=False, handles=False)
    counts: Counter[str] = Counter()
    for text in texts.filter(flagged(texts, kinds)).to_list():
        counts.update(dict.fromkeys({one.name for one in find(text, kinds)}, times[text]))
    return counts


def mask(text: str, kinds: Sequence[Kind], counts: Counter[str]) -> str:
    """The text with placeholders for what was found by form; `counts` gets how many of each type."""
    masker = Masker(tuple(kinds))
    found = masker.found([text])[0]
    counts.update(one.name for one in found)
    return applied(masker.as_edits(text, found), text)
