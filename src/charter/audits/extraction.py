"""The audit of extraction: what a language model has learned by heart, by canaries in a sibling run and by its own training texts."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.audits.case import Audit, Case
from charter.audits.memorised import continued, exposure
from charter.audits.resampling import Resampling, clusters, effective, percentile, weight_chunks
from charter.audits.roc import clopper_pearson
from charter.audits.siblings import NOT_GIVEN, Sibling, Siblings, of_nobody
from charter.data.columns import ROW
from charter.runs.findings import Finding
from charter.spec.metrics import EXPOSURE, EXTRACTED, VERBATIM
from charter.tasks.language_model import SURPRISE

AREA = "privacy_audit"
FEWEST_TEXTS = 30
COMMON_WORDS = 5000
"""Canaries are made of so many of the most frequent words of the training texts."""
RESAMPLES = 1000


def extraction(
    *,
    canaries: Annotated[
        int, Field(ge=0, description="for each number of repetitions; 0: none are planted")
    ] = 20,
    repetitions: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, description="how often a canary stands among the training texts of the sibling"),
    ] = (1, 8),
    words: Annotated[int, Field(ge=3, le=50, description="random words that a canary is made of")] = 8,
    references: Annotated[
        int, Field(ge=100, le=1_000_000, description="texts made in the same way that are never learned from")
    ] = 1000,
    prefix: Annotated[int, Field(ge=1, description="tokens of a training text that the model is given")] = 16,
    continuation: Annotated[
        int, Field(ge=1, description="tokens that it then has to write word for word")
    ] = 16,
    texts: Annotated[
        int, Field(ge=FEWEST_TEXTS, description="training texts tried at most, and as many of test")
    ] = 1000,
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="confidence of the intervals")] = 0.95,
) -> Audit:
    """What a language model has learned by heart: exposure of canaries, and training texts continued word for word."""

    def measure(case: Case) -> list[Finding]:
        given = case.siblings
        if given is None or not case.task.writes:
            because = NOT_GIVEN if given is None else f"task {case.task.name} writes no texts"
            return [_none(case, metric, because) for metric in (EXPOSURE, VERBATIM)]
        found: list[Finding] = []
        if canaries:
            often = tuple(dict.fromkeys(repetitions))
            found += _canaries(case, given, canaries, often, words, references, confidence)
        found += _verbatim(case, given, prefix, continuation, texts, confidence)
        return found

    return measure


def _canaries(
    case: Case, given: Siblings, each: int, often: tuple[int, ...], words: int, references: int, sure: float
) -> Iterator[Finding]:
    drawn = _random_texts(case, each * len(often) + references, words)
    repeated = np.repeat(np.asarray(often), each)
    planted, others = drawn[: len(repeated)], drawn[len(repeated) :]
    copies = _numbered(planted[np.repeat(np.arange(len(repeated)), repeated)], drawn)
    learned = pl.concat([case.train, copies]).sample(fraction=1.0, seed=case.seed, shuffle=True)
    asked = pl.concat([planted, others])
    told = given.train(Sibling("canary", 1, 1, learned, asked, case.seed + 1))
    surprise = np.asarray(told, dtype=np.float64).reshape(asked.height, -1)[:, SURPRISE]
    found = exposure(surprise[: len(repeated)], surprise[len(repeated) :])
    kind = f"canaries of {words} random words in a sibling run, among {references:,} texts made in the same way (Carlini et al. 2019)"
    for count in often:
        which = repeated == count
        yield from _exposed(case, found.exposure[which], found.rank[which], count, found.most, kind, sure)


def _exposed(
    case: Case,
    bits: NDArray[np.float64],
    rank: NDArray[np.int64],
    count: int,
    most: float,
    kind: str,
    sure: float,
) -> Iterator[Finding]:
    how = Resampling(RESAMPLES, sure, case.seed)
    draws = np.concatenate(weight_chunks(len(bits), how))
    one = percentile(float(bits.mean()), draws @ bits / len(bits), how, "canaries")
    where = {"repeated": str(count)}
    common = {"n": len(bits), "slice": where, "confidence": sure, **_common(case, "train")}
    yield Finding(
        AREA,
        EXPOSURE,
        one.value,
        low=one.low,
        high=one.high,
        unit="bits",
        method=f"{kind}; chance gives 1.44 bits, and {most:.1f} is the most that can be seen; {one.method}",
        **common,
    )
    first = int((rank == 1).sum())
    low, high = clopper_pearson(first, len(rank), (1 - sure) / 2)
    method = f"{kind}; share that no such text is likelier than; exact binomial interval"
    yield Finding(AREA, EXTRACTED, first / len(rank), low=low, high=high, method=method, **common)


def _random_texts(case: Case, count: int, words: int) -> pl.DataFrame:
    """Rows of random words of the training texts, or characters where these have no spaces; with row numbers of their own."""
    column = case.columns.text
    texts = case.train[column]
    parts = texts.str.split(" ")
    if float(parts.list.len().mean() or 0) < 3:  # type: ignore[arg-type]  # no spaces between words
        parts = texts.str.split("")
    known = parts.explode().drop_nulls().value_counts(sort=True)[column]
    known = known.filter(known.str.strip_chars() != "").head(COMMON_WORDS)
    rng = np.random.default_rng([case.seed, 2])
    chosen = rng.integers(0, len(known), (count, words))
    space = " " if texts.str.contains(" ").any() else ""
    made = [space.join(known[int(at)] for at in one) for one in chosen]
    like = of_nobody(case.train.head(1), case.columns)
    return _numbered(pl.concat([like] * count).with_columns(pl.Series(column, made)), case.train)


def _numbered(rows: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Rows with numbers of their own, above those of `after`: each is then a unit of privacy by itself, a repeated text too."""
    first = int(after[ROW].max() or 0) + 1  # type: ignore[arg-type]
    return rows.with_columns(pl.Series(ROW, np.arange(first, first + rows.height)).cast(rows.schema[ROW]))


def _verbatim(
    case: Case, given: Siblings, prefix: int, length: int, texts: int, sure: float
) -> Iterator[Finding]:
    """How often greedy writing goes on as a training text does; beside it how often as a test text, which nobody learned."""
    for split, rows in (("train", case.train), ("test", case.answers["test"].rows)):
        where = {} if split == "train" else {"split": split}
        tried = rows.sample(min(texts, rows.height), seed=case.seed, shuffle=True)
        told = given.continuation(tried)
        enough = np.asarray([len(one) >= prefix + length for one in told.truth])
        common: dict[str, Any] = {"n": int(enough.sum()), "slice": where, **_common(case, split)}
        if enough.sum() < FEWEST_TEXTS:
            because = (
                f"insufficient evidence: {int(enough.sum())} texts of {prefix + length} tokens or more, at least {FEWEST_TEXTS} "
                "are needed"
            )
            yield Finding(AREA, VERBATIM, None, because=because, **common)
            continue
        right = continued(told.truth, told.likeliest, prefix, length)[enough]
        units = np.unique(clusters(tried, case.columns.subject)[enough], return_inverse=True)[1]
        worth = effective(np.bincount(units))
        low, high = clopper_pearson(float(right.mean()) * worth, worth, (1 - sure) / 2)
        method = (
            f"given {prefix} tokens of a text, greedy writing goes on with exactly the next {length} (Carlini et al. 2023); exact "
            "binomial interval"
        )
        yield Finding(
            AREA,
            VERBATIM,
            float(right.mean()),
            low=low,
            high=high,
            confidence=sure,
            method=method,
            **common,
        )


def _none(case: Case, metric: str, because: str) -> Finding:
    return Finding(AREA, metric, None, because=because, **_common(case, "train"))


def _common(case: Case, split: str) -> dict[str, Any]:
    return {"of": case.of, "on": case.answers["test"].digest if split == "test" else "", "split": split}
