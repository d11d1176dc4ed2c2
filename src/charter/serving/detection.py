"""A released bundle of task token_classification as a detector of personal data, for `{use: mask_pii, model: PATH}`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from charter.data.columns import PLACE, ROW
from charter.data.detecting import Detected, Detector, Labels, Recall
from charter.data.profile import HAN_SHARE
from charter.errors import OptionError
from charter.release.bundle import read_bundle
from charter.release.manifest import read_manifest
from charter.runs.findings import read_findings
from charter.serving.answers import Answerer, open_answerer

Names = Annotated[str, Field(min_length=1)]
USUAL: Labels = {
    **dict.fromkeys(("PERSON", "PER", "NAME", "NAMES", "人名", "姓名"), "PERSON"),
    **dict.fromkeys(("ADDRESS", "STREET_ADDRESS", "ADDR", "地址"), "ADDRESS"),
    **dict.fromkeys(("LOCATION", "LOC", "GPE", "地名"), "LOCATION"),
    **dict.fromkeys(("ORGANIZATION", "ORGANISATION", "ORG", "机构名", "机构"), "ORGANIZATION"),
}
"""What models call names, addresses, places and organisations, in capitals -> the kind here."""
_END = re.compile(r"[\n。！？!?；;]|(?<=[a-z0-9)])\.\s")
_SPACE = re.compile(r"[\s，,、]")
_LETTER, _HAN = r"\p{L}", r"\p{Han}"
FEWEST_LETTERS = 5
"""A text of fewer letters is of no language."""
UNKNOWN = 0.2
"""A text is hardly read where its tokenizer knows nothing of more than this share of its letters and digits. Of Chinese sentences MiniLM's
English one did not know 30 to 92 %, of English ones with accents and emoji at most 3 %."""
STRANGE = 0.1
"""Nor where it is mostly of a script (Chinese or another) that less than this share of the letters was of that the model learned from."""
SPECIAL = 2
"""Tokens that a sequence has beside those of its text."""


def bundle(
    folder: Path = Path(),
    *,
    path: Annotated[Names, Field(description="the bundle's folder")],
    labels: Annotated[
        dict[Names, Names | None], Field(description="the model's labels -> the kind shown; null: it stays")
    ] = {},  # noqa: B006  (never changed)
    threshold: Annotated[float, Field(ge=0, le=1, description="the least mean probability of a find")] = 0.5,
) -> Detector:
    """What a released bundle of task token_classification finds. Its labels are read as PERSON, ADDRESS, LOCATION, ORGANIZATION.

    PER, LOC, GPE, ORG and the like are understood; of other labels the option `labels` says what they are, or that they stay.
    Texts of any length are read to their end, in pieces that the model can hold.
    """

    @cache
    def opened() -> "_Reader":
        place = _found(path, folder)
        answerer = _answerer(place.resolve(), read_manifest(place).digest)
        if answerer.task.name != "token_classification":
            raise OptionError(
                f"preparation 'mask_pii': {place} is of task {answerer.task.name}; one of task token_classification is needed"
            )
        kinds = _kinds(answerer.task.types, labels, place)  # type: ignore[attr-defined]
        return _Reader(answerer, kinds, threshold, _han_share(place))

    return Detector(
        detect=lambda texts: opened().detect(texts),
        kinds=lambda: frozenset(kind for kind in opened().kinds.values() if kind is not None),
        digest=lambda: read_manifest(_found(path, folder)).digest,
        recalls=lambda: _recalls(_found(path, folder), opened().kinds),
        name=Path(path).name,
        unread=lambda texts: opened().unread(texts),
    )


def _han_share(place: Path) -> float | None:
    """The share of Chinese characters in the letters that a bundle learned from, as its own evidence has it."""
    found = read_findings(place / "charter" / "findings.jsonl")
    return next((one.value for one in found if one.area == "data" and one.metric == HAN_SHARE), None)


def _recalls(place: Path, kinds: Labels) -> dict[str, Recall]:
    """The recall of each kind as the bundle's own evidence has it; of several labels of one kind the lowest."""
    found: dict[str, Recall] = {}
    for one in read_findings(place / "charter" / "findings.jsonl"):
        kind = (
            kinds.get(one.slice.get("class", ""))
            if one.area == "performance" and one.metric == "recall"
            else None
        )
        if kind is None or one.value is None or one.low is None or one.high is None:
            continue
        if kind not in found or one.value < found[kind].value:
            found[kind] = Recall(one.value, one.low, one.high, one.confidence or 0.95)
    return found


@lru_cache(maxsize=2)
def _answerer(place: Path, digest: str) -> Answerer:
    """Opened once, however many chunks of rows there are; another digest is another bundle."""
    del digest
    return open_answerer(read_bundle(place))


def _found(path: str, folder: Path) -> Path:
    """The bundle's folder: beside the charter, or from where one is."""
    given = Path(path).expanduser()
    for place in (folder / given, Path.cwd() / given):
        if place.is_dir():
            return place
    raise OptionError(
        f"preparation 'mask_pii': no bundle at {folder / given}. A model is trained by `charter run`, "
        "for instance on examples/pii-en.yaml, and lies in release/NAME"
    )


def _kinds(types: Sequence[str], labels: Labels, place: Path) -> Labels:
    """The model's labels -> the kinds shown.

    Raises:
        OptionError: `labels` names what is no label of the model, or there is a label that nobody says the meaning of.
    """
    listed = ", ".join(types)
    if strange := sorted(set(labels) - set(types)):
        raise OptionError(
            f"preparation 'mask_pii': labels names '{strange[0]}', which the model {place} does not tell; it tells {listed}"
        )
    known = {**{one: USUAL[one.upper()] for one in types if one.upper() in USUAL}, **labels}
    if unknown := [one for one in types if one not in known]:
        raise OptionError(
            f"preparation 'mask_pii': the model {place} tells {listed}. Say what {', '.join(unknown)} is, or that it stays: "
            f"labels: {{{unknown[0]}: PERSON}} or {{{unknown[0]}: null}}"
        )
    return known


@dataclass(frozen=True)
class _Reader:
    answerer: Answerer
    kinds: Labels
    threshold: float
    han_share: float | None = None
    """The share of Chinese characters in the letters that it learned from; None where its bundle does not say."""

    def unread(self, texts: Sequence[str]) -> int:
        """How many texts it can hardly read: their tokens are unknown to it, or of a script that it hardly learned from."""
        cells = pl.Series("text", texts, dtype=pl.String)
        frame = cells.to_frame().select(
            "text",
            letters=pl.col("text").str.count_matches(_LETTER),
            han=pl.col("text").str.count_matches(_HAN),
        )
        frame = frame.filter(pl.col("letters") >= FEWEST_LETTERS)
        if not frame.height:
            return 0
        chinese = frame["han"] > frame["letters"] / 2
        strange = pl.repeat(False, frame.height, eager=True)
        if self.han_share is not None:
            strange = (
                chinese if self.han_share < STRANGE else ~chinese if self.han_share > 1 - STRANGE else strange
            )
        unknown = pl.Series([self._unknown(text) > UNKNOWN for text in frame["text"]], dtype=pl.Boolean)
        return int((strange | unknown).sum())

    def _unknown(self, text: str) -> float:
        """The share of a text's letters and digits that its tokenizer knows nothing of."""
        tokenizer = self.answerer.tokenizer
        if tokenizer.unk_token_id is None:
            return 0.0
        read = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        missed = [
            text[start:end]
            for token, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True)
            if token == tokenizer.unk_token_id
        ]
        known = sum(sign.isalnum() for sign in text)
        return sum(sign.isalnum() for part in missed for sign in part) / max(known, 1)

    def detect(self, texts: Sequence[str]) -> list[list[Detected]]:
        """What the model finds in each text; equal texts are read once."""
        different = list(dict.fromkeys(text for text in texts if text.strip()))
        found = dict(zip(different, self._of(different), strict=True))
        return [found.get(text, []) for text in texts]

    def _of(self, texts: Sequence[str]) -> list[list[Detected]]:
        room = self.answerer.max_length - SPECIAL
        while True:
            pieces = [(at, piece) for at, text in enumerate(texts) for piece in self._pieces(text, room)]
            rows = self._rows([texts[at][start:end] for at, (start, end) in pieces])
            if not pieces:
                return [[] for _ in texts]
            answered = self.answerer.answer(rows)
            if not answered.truncated or room < SPECIAL * 4:
                break
            room = room * 3 // 4  # words read one by one may take more tokens than a text at once
        found: list[list[Detected]] = [[] for _ in texts]
        for (at, (start, _)), entities in zip(pieces, answered.frame["entities"].to_list(), strict=True):
            found[at] += self._kept(entities or [], start)
        return found

    def _kept(self, entities: Sequence[Any], start: int) -> Iterator[Detected]:
        for one in entities:
            kind = self.kinds[one["label"]]
            if kind is not None and one["probability"] >= self.threshold:
                yield Detected(start + one["start"], start + one["end"], kind)

    def _rows(self, texts: Sequence[str]) -> pl.DataFrame:
        number = pl.Series(ROW, range(1, len(texts) + 1), dtype=pl.Int64)
        place = pl.Series(PLACE, ["text"] * len(texts), dtype=pl.String)
        return pl.DataFrame([number, place, pl.Series(self.answerer.columns.text, texts, dtype=pl.String)])

    def _pieces(self, text: str, room: int) -> Iterator[tuple[int, int]]:
        """Pieces of at most `room` tokens, ended at a sentence's end where there is one, else between words."""
        if len(text) <= room:  # no token is shorter than a character
            yield 0, len(text)
            return
        offsets = self.answerer.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )["offset_mapping"]
        begun = at = 0
        while at + room < len(offsets):
            reach = offsets[at + room - 1][1]
            cut = _cut(text, begun, reach)
            yield begun, cut
            begun = cut
            while at < len(offsets) and offsets[at][0] < cut:
                at += 1
        if begun < len(text):
            yield begun, len(text)


def _cut(text: str, begun: int, reach: int) -> int:
    """Where a piece of text[begun:reach] ends: the last sentence's end in its second half, or word's end, or reach."""
    half = begun + (reach - begun) // 2
    for pattern in (_END, _SPACE):
        ends = [match.end() for match in pattern.finditer(text, half, reach)]
        if ends:
            return ends[-1]
    return reach
