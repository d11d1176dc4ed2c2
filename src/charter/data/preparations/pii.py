"""Mask personal data: by form (numbers with check digits, addresses of e-mail, plates), and by a detector (names, addresses).

Without a detector names, street addresses and organisations are not found, and not promised; with one some of them are.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from charter import plugins
from charter.data.columns import Columns
from charter.data.detecting import Detector, Labels, Recall
from charter.data.edits import Edits, applied
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.preparations.forms import EVERY_KIND, Locale, find, flagged, kinds_of, placeholders
from charter.data.preparations.masking import Masker, placeholder
from charter.data.preparations.pseudonyms import fingerprint, pseudonyms, read_key
from charter.data.preparations.searches import Kind
from charter.errors import DataError, OptionError
from charter.runs.digest import value_digest
from charter.runs.findings import Finding

FORMS = "forms"
UNREAD = "left: texts that the masking model can hardly read"
"""What texts are counted as in which names and addresses mostly stay, since the model is of another language."""
MANY_UNREAD = 20
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
        Field(
            description="the folder of a released bundle of task token_classification: what it finds is masked too"
        ),
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
        Field(
            description="placeholder: [PERSON]; pseudonym: [PERSON-3f9a0c77e1], the same for the same value and key"
        ),
    ] = "placeholder",
    key: Annotated[
        Names | None,
        Field(description="the key of pseudonyms, made by `charter pseudonym-key`; outside of the store"),
    ] = None,
) -> Preparation:
    """Mask e-mail, phone, card, IBAN, plates and documents by form; names and addresses by a model or engine.

    Check digits are verified. Of what a detector finds nothing is masked inside of what a form told.
    """
    given = _Asked(locales, urls, handles, model, engine, engine_model, labels, threshold, replace, key)
    given.check()
    masker = cache(lambda: given.masker(folder))

    def digest(columns: Columns) -> str:
        del columns
        return given.digest(folder)

    def summed(counts: Mapping[str, int]) -> tuple[Finding, ...]:
        asked = masker().detector
        return () if asked is None else remaining(asked, counts)

    return Preparation(
        row_wise=True, apply=_applying(masker), digest=digest if given.reads_beside else None, summed=summed
    )


def remaining(detector: Detector, counts: Mapping[str, int]) -> tuple[Finding, ...]:
    """Of each kind that a detector tells, how many places may have been missed; never that there are none.

    n places found by a detector of recall r leave n (1 - r) / r unfound, if it does on these texts what it did on its own test
    rows, and if all that it found was right: the interval is that of the recall alone.
    """
    recalls = detector.recalls()
    return tuple(
        _remaining(kind, counts.get(f"masked.{kind}", 0), recalls, detector.name)
        for kind in sorted(detector.kinds())
    )


def _remaining(kind: str, n: int, recalls: Mapping[str, Recall], name: str) -> Finding:
    recall = recalls.get(kind)
    because = ""
    if recall is None or not recall.low:
        because = f"the model {name} says nothing of its recall of this kind"
    elif not n:
        because = "nothing of this kind was found, so its recall bounds nothing"
    elif recall.value == 1:
        because = f"the model {name} missed none on its test rows, which does not show that none remains"
    where = {"type": kind}
    if because or recall is None:
        return Finding(
            "data",
            "pii_remaining",
            None,
            n=n,
            slice=where,
            because=f"insufficient evidence: {because}",
            unit="places",
        )
    low, value, high = (n * (1 - one) / one for one in (recall.high, recall.value, recall.low))
    said = (
        f"{n} places masked, times the odds of a miss by the recall of the model {name} on its own test rows; rows unlike those "
        "hold more"
    )
    return Finding(
        "data",
        "pii_remaining",
        value,
        low=low,
        high=high,
        confidence=recall.confidence,
        n=n,
        slice=where,
        method=said,
        unit="places",
    )


def masker_of(folder: Path = Path(), **options: Any) -> Masker:
    """What `mask_pii` with these options finds and shows, for use without a charter.

    Raises:
        OptionError: as `mask_pii`, on options that don't go together, a model or a key that can't be used.
    """
    given = _Asked(**{"locales": ("en", "zh"), **options})
    given.check()
    return given.masker(folder)


@dataclass(frozen=True)
class _Asked:
    """The options of `mask_pii`."""

    locales: tuple[Locale, ...]
    urls: bool = False
    handles: bool = False
    model: str | None = None
    engine: str = FORMS
    engine_model: str | None = None
    labels: Labels = field(default_factory=dict)
    threshold: float = 0.5
    replace: str = "placeholder"
    key: str | None = None

    @property
    def reads_beside(self) -> bool:
        return self.model is not None or self.engine != FORMS or self.key is not None

    def masker(self, folder: Path) -> Masker:
        detector, key = self._detector(folder), self._key(folder)
        return Masker(
            kinds_of(self.locales, urls=self.urls, handles=self.handles),
            placeholder if key is None else pseudonyms(key),
            detector,
            placeholders(detector.kinds() if detector is not None else ()),
        )

    def digest(self, folder: Path) -> str:
        """What names the detector and the key, neither of which stands in the options."""
        detector, key = self._detector(folder), self._key(folder)
        told = {
            "detector": detector.digest() if detector is not None else None,
            "key": fingerprint(key) if key is not None else None,
        }
        return value_digest(told)

    def _key(self, folder: Path) -> bytes | None:
        return None if self.key is None else read_key(folder / Path(self.key).expanduser())

    def _detector(self, folder: Path) -> Detector | None:
        if self.model is None and self.engine == FORMS:
            return None
        options: dict[str, Any] = {"labels": dict(self.labels), "threshold": self.threshold}
        if self.model is not None:
            options["path"] = self.model
        if self.engine_model is not None:
            options["model"] = self.engine_model
        name = "bundle" if self.model is not None else self.engine
        made: Detector = plugins.make("detector", name, options, folder)
        return made

    def check(self) -> None:
        """Refuse options that don't go together.

        Raises:
            OptionError: they don't.
        """
        others = tuple(name for name in plugins.names("detector") if name != "bundle")
        detects = self.model is not None or self.engine != FORMS
        bad = [name for name in self.labels.values() if name is not None and not _KIND.fullmatch(name)]
        problems = (
            (
                self.engine not in (FORMS, *others),
                f"unknown engine '{self.engine}'. Known: {', '.join((FORMS, *others))}",
            ),
            (
                self.model is not None and self.engine != FORMS,
                "name a model or an engine, not both; list mask_pii twice to use both",
            ),
            (
                self.engine_model is not None and self.engine == FORMS,
                "engine_model is of an engine: name one, such as engine: presidio",
            ),
            (bool(self.labels) and not detects, "labels are of a model or an engine: name one"),
            (bool(bad), f"labels: a kind is capital letters and _, such as PERSON; {len(bad)} are not"),
            (
                (self.replace == "pseudonym") != (self.key is not None),
                "pseudonyms need a key: {use: mask_pii, replace: pseudonym, key: PATH}, made once by `charter pseudonym-key PATH`",
            ),
        )
        for wrong, said in problems:
            if wrong:
                raise OptionError(f"preparation 'mask_pii': {said}")


_KIND = re.compile(r"[A-Z][A-Z_]*[A-Z]")


def _applying(masker: Callable[[], Masker]) -> Callable[[pl.DataFrame, Columns], Outcome]:
    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        counts: Counter[str] = Counter()
        made: dict[str, Edits] = {}
        unread = 0
        for column in columns.inputs:
            cells = frame[column]
            unread += masker().unread(cells)
            if isinstance(cells.dtype, pl.List):
                frame = frame.with_columns(masker().masked_words(cells, counts))
            else:
                masked, done = masker().masked_texts(cells, counts)
                frame = frame.with_columns(masked)
                made |= done
        told = {f"masked.{name}": count for name, count in sorted(counts.items())}
        told |= {UNREAD: unread} if unread else {}
        return Outcome(frame, nothing_dropped(), told, lambda text: (made.get(text, ()),))

    return apply


def check_key_outside(place: str, folder: Path, store: Path) -> None:
    """Refuse a key of pseudonyms that lies in the store, whose artefacts it would open.

    Raises:
        DataError: it does.
    """
    path = folder / Path(place).expanduser()
    if path.resolve().is_relative_to(store.resolve()):
        raise DataError(
            f"data.prepare, mask_pii: the key {path} lies in the store {store}; keep it elsewhere"
        )


def unread_notes(counts: Iterable[tuple[str, Mapping[str, int]]], rows: int) -> Iterator[str]:
    """What is said at once of texts that a masking model can hardly read, where there are many: one in `MANY_UNREAD` rows or more."""
    for _, each in counts:
        if each.get(UNREAD, 0) * MANY_UNREAD >= max(rows, 1):
            yield (
                f"mask_pii: its model can hardly read {each[UNREAD]:,} texts of {rows:,} rows, since it learned from another language or "
                "script: names and addresses in them mostly stay; mask them by a model of their language as well"
            )


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
