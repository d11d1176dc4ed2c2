"""The charter that `charter init` writes: sensible first values, each with the reason for it in a comment."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from charter.data.guess import Roles
from charter.data.look import Look, TextLook
from charter.data.split import DEFAULTS
from charter.errors import CharterError, CharterFileError
from charter.models.base import SAMPLES
from charter.spec import check, parse_document, written
from charter.spec.limits import Limit
from charter.spec.metrics import EMBEDDINGS, GAIN, HEADLINES, LANGUAGE_MODELS, UNIGRAM, WITHOUT_CLASSES
from charter.spec.model import Charter
from charter.spec.training import CONTRASTED

LENGTHS = (32, 64, 128, 256, 512)
PROBED_TEXTS = 2_000
SAMPLE = "sample:minilm"
DECODED = "causal_language_modelling"
NEW: Mapping[str, Any] = {
    "architecture": {"use": "gpt2", "n_embd": 128, "n_layer": 4, "n_head": 4},
    "tokenizer": {"use": "bpe", "size": 4000},
}
"""A decoder small enough to learn on a CPU."""
FEW = 50
"""With fewer training rows per class, a head fitted to vectors is advised (docs/few-examples.md)."""
CALIBRATED_FROM = 100
"""Fewer test rows are no evidence of calibration (the audit's own minimum)."""


@dataclass(frozen=True)
class Fit:
    """How a base model's tokenizer reads the texts; what can't be known without fetching the base is None.

    tokens: at the 98th percentile; unknown: the share of tokens outside its vocabulary; pieces: tokens per word.
    positions: the longest text it can take.
    """

    tokens: int | None = None
    unknown: float | None = None
    pieces: float | None = None
    positions: int | None = None

    @property
    def reads_well(self) -> bool:
        """Whether the texts look like the language that the base was trained on (true where nothing is known)."""
        return (self.unknown or 0.0) < 0.05 and (self.pieces or 0.0) < 2.2


@dataclass(frozen=True)
class Draft:
    """All that goes into the charter. source: as the charter names it; parts: the splits that are given."""

    name: str
    source: str | dict[str, str]
    base: str
    task: str
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    groups: tuple[str, ...]
    subject: str | None
    split: str | None
    parts: tuple[str, ...]
    licence: str | None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def new(self) -> bool:
        """Whether a new small decoder is written in the place of a base: the sample that stands for none is an encoder."""
        return self.task == DECODED and self.base == SAMPLE

    @property
    def sequences(self) -> tuple[tuple[str, ...], ...]:
        """What the model reads at once, as columns: of choices each with its text, of texts that belong together each alone."""
        if self.task in EMBEDDINGS:
            return tuple((one,) for one in self.texts)
        stem = self.options.get("stem", 1)
        if self.task == "multiple_choice" and len(self.texts) > stem:
            return tuple((*self.texts[:stem], one) for one in self.texts[stem:])
        return (self.texts,)


def fit_of(base: str, folder: Path, texts: list[str]) -> Fit:
    """Read some texts with a base model's tokenizer, when the base is on this machine; no torch is loaded."""
    place = _place(base, folder)
    if place is None:
        return Fit()
    positions = _positions(place)
    if not (place / "tokenizer.json").is_file() or not texts:
        return Fit(positions=positions)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoded = tokenizer.encode_batch(texts[:PROBED_TEXTS])
    sizes = sorted(len(one.ids) for one in encoded)
    inner = [[token for token in one.tokens if token not in _MARKS] for one in encoded]
    total = sum(map(len, inner))
    unknown = sum(token in ("[UNK]", "<unk>") for one in inner for token in one)
    words = sum(len({word for word in one.word_ids if word is not None}) for one in encoded)
    return Fit(
        sizes[min(len(sizes) - 1, math.ceil(0.98 * len(sizes)) - 1)],
        unknown / max(total, 1),
        total / max(words, 1),
        positions,
    )


def _place(base: str, folder: Path) -> Path | None:
    """The base's folder when it is on this machine; whether a model can be made of it is `charter run`'s to say."""
    local = (folder / base).expanduser()
    if local.is_dir():
        return local
    name = base.removeprefix("sample:")
    if name == base or name not in SAMPLES:
        return None
    distribution, inside = SAMPLES[name]
    try:
        return Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        return None


_MARKS = ("[CLS]", "[SEP]", "<s>", "</s>")


def _positions(place: Path) -> int | None:
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        found = config["max_position_embeddings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) and found >= 8 else None


def max_length(fit: Fit, about: TextLook) -> int:
    """The shortest usual length that 98 of 100 texts fit in; without a tokenizer at hand, guessed from characters."""
    tokens = fit.tokens
    if tokens is None:
        tokens = round(about.lengths[1] * (0.3 + 0.8 * about.chinese)) + 2
    longest = next((one for one in LENGTHS if one >= tokens), LENGTHS[-1])
    return min(longest, fit.positions or longest)


def charter_of(draft: Draft, look: Look, about: TextLook, fit: Fit) -> Charter:
    """The charter of a draft.

    Raises:
        CharterError: a name or column that a charter can't hold.
    """
    value: dict[str, Any] = {
        "name": draft.name,
        "purpose": {"intended_use": "TO SAY: what the model is for.", "affected": "TO SAY: who is affected."},
        "data": {
            "source": draft.source,
            "inputs": dict.fromkeys(draft.texts, "text"),
            "target": _target(draft),
            "groups": list(draft.groups),
            "subject": draft.subject,
            "encoding": look.encoding,
            "licence": draft.licence,
            "prepare": _preparations(draft),
            "split": _split(draft),
        },
        "model": {**(NEW if draft.new else {"base": draft.base}), "max_length": max_length(fit, about)},
        "task": {"use": draft.task, **draft.options},
        "audits": [
            {"use": "performance"},
            *([] if draft.task in WITHOUT_CLASSES else [{"use": "calibration"}]),
        ],
        "limits": _limits(draft, look),
        "report": {"language": "zh" if about.chinese > 0.5 else "en"},
    }
    try:
        return Charter.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise CharterError(f"no charter can be made of this: {at}: {first['msg']}") from None


def _target(draft: Draft) -> str | list[str] | None:
    if not draft.targets:
        return None
    return draft.targets[0] if len(draft.targets) == 1 else list(draft.targets)


_NO_LABELS = (
    "token_classification", "regression", "question_answering", "multiple_choice", "sentence_embedding", "sentence_similarity"
)  # fmt: skip


def _preparations(draft: Draft) -> list[dict[str, Any]]:
    """Numbers and tags are no labels to tidy; pairs that share one of their texts are alike and yet all wanted."""
    tidy = [] if draft.task in (*_NO_LABELS, *LANGUAGE_MODELS) else [{"use": "normalise_label"}]
    drop: list[dict[str, Any]] = [{"use": "drop_exact_duplicates"}]
    drop += [{"use": "drop_near_duplicates"}] if len(draft.texts) == 1 else []
    return [{"use": "repair_text"}, {"use": "mask_pii"}, *tidy, *drop]


def _split(draft: Draft) -> dict[str, Any]:
    """Parts that the source lacks are taken from the training rows; a split column says it all itself."""
    if draft.split is not None:
        return {"column": draft.split}
    unread = ("calibration",) if draft.task in LANGUAGE_MODELS else ()
    return {name: share for name, share in DEFAULTS.items() if name not in (*draft.parts, *unread)}


def test_rows(draft: Draft, look: Look) -> int:
    """About how many rows will be in the test split, before preparation drops some."""
    column = look.column(draft.split) if draft.split is not None else None
    if column is not None:
        return round(column.shares.get("test", 0.0) * look.read)
    return round(DEFAULTS["test"] * look.read)


def _limits(draft: Draft, look: Look) -> list[str]:
    """First guesses by the number of classes; calibration only where there will be rows enough to measure it."""
    if draft.task in LANGUAGE_MODELS:
        return [str(Limit(GAIN, ">", 0.0, (("baseline", UNIGRAM),)))]
    metric, bound = _headline(draft, look)
    by_group = "accuracy" if metric == "macro_f1" and draft.task != "multi_label_classification" else metric
    limits = [Limit(metric, ">=", bound)]
    limits += [Limit(by_group, ">=", round(bound - 0.1, 2), ((group, "*"),)) for group in draft.groups]
    if draft.parts or test_rows(draft, look) >= 1.2 * CALIBRATED_FROM:
        calibrated = Limit("expected_calibration_error", "<=", 0.1)
        if draft.task in EMBEDDINGS:
            return [str(one) for one in limits]
        limits.append(Limit("interval_coverage", ">=", 0.85) if draft.task == "regression" else calibrated)
    return [str(one) for one in limits]


_FIRST_BOUNDS = {
    "token_classification": 0.6,
    "multi_label_classification": 0.4,
    "multiple_choice": 0.4,
    "ordinal": 0.5,
    "question_answering": 0.5,
    "sentence_embedding": 0.4,
    "sentence_similarity": 0.4,
    "regression": 0.3,
}


def _headline(draft: Draft, look: Look) -> tuple[str, float]:
    target = look.column(draft.targets[0]) if draft.targets else None
    classes = target.different if target is not None else 2
    if draft.task in _FIRST_BOUNDS:
        return HEADLINES[draft.task], _FIRST_BOUNDS[draft.task]
    return "macro_f1", 0.7 if classes == 2 else 0.6 if classes <= 5 else 0.5 if classes <= 20 else 0.4


def notes_of(draft: Draft, roles: Roles, look: Look, about: TextLook, fit: Fit) -> Mapping[str, str]:
    """By key of the charter, what stands above it as a comment."""
    others = [one.name for one in look.columns if one.name not in (*draft.texts, *draft.targets)]
    notes = {
        "purpose": "Say here what the model is for; it stands on the model card.",
        "data.inputs": f"{', '.join(draft.texts)}: {roles.text.why}",
        "data.target": ": ".join(filter(None, (", ".join(draft.targets), roles.target.why))),
        "data.groups": f"{roles.groups.why}\nother columns: {', '.join(others) or 'none'}",
        "data.subject": roles.subject.why,
        "data.prepare": "\n".join(filter(None, (_personal_note(about), _language_note(about)))),
        "data.split": _split_note(draft, roles),
        "model.max_length": _length_note(fit, about),
        "task": _few_note(draft, look),
        "limits": _limits_note(draft, look),
    }
    if not fit.reads_well:
        notes["model.base"] = f"{draft.base} {unfit(fit)}: name a base of the texts' language"
    return {key: _printable(note) for key, note in notes.items() if note}


EPSILON, TOGETHER = 8, 10
"""An epsilon to begin with, and what all runs on the rows may cost together."""


def privacy_note(charter: Charter, look: Look, out: Path) -> Mapping[str, str]:
    """How a privacy budget is asked for; nothing where this charter can't have one as it stands. out: where it is written."""
    delta = 10.0 ** math.floor(math.log10(1 / (2 * max(look.read, 1))))
    section = f"privacy: {{epsilon: {EPSILON}, delta: {delta:.1e}}}"
    try:
        check(parse_document(written(charter).replace("\nprivacy: null\n", f"\n{section}\n"), out))
    except CharterFileError:
        return {}
    said = (
        "nothing bounds what the model gives away of the people in these rows; this section, uncommented, trains with differential "
        "privacy\n"
        f"(smaller is more private and costs accuracy; delta below 1 / {look.read:,}, the rows read; docs/privacy.md):\n"
        f"{section}\n"
        f"and under data, what all runs on these rows may cost together: privacy_budget: {{epsilon: {TOGETHER}}}"
    )
    return {"audits": said}


def _printable(note: str) -> str:
    """A note without the characters that YAML allows nowhere, not even in a comment."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in note)


def unfit(fit: Fit) -> str:
    """What speaks against a base, in words that follow its name."""
    if (fit.unknown or 0.0) >= 0.05:
        return f"does not know {fit.unknown:.0%} of the tokens of these texts"
    return f"cuts a word of these texts into {fit.pieces:.1f} pieces on average"


def personal(about: TextLook) -> str:
    """Personal data found, by type; web addresses and handles, which are masked on request only, last."""
    found = {name: count for name, count in about.personal.items() if name not in ("URL", "HANDLE")}
    return ", ".join(f"{count:,} {name}" for name, count in found.items())


def _personal_note(about: TextLook) -> str:
    found = personal(about)
    said = (
        f"personal data found in the rows looked at: {found}"
        if found
        else "no personal data found by its form"
    )
    loose = {name: count for name, count in about.personal.items() if name in ("URL", "HANDLE")}
    if loose:
        listed = ", ".join(f"{count:,} {name}" for name, count in loose.items())
        said += f"\n{listed} too: mask_pii masks them with urls: true and handles: true"
    return said + "\nnames and street addresses are not found by form: look yourself"


MINORITY = 0.02
"""A second language from this share of the texts on is said."""


def _language_note(about: TextLook) -> str:
    """Where some texts are in another language: which, and how to leave them out. Whether they belong is not ours to say."""
    spoken = [code for code, share in about.languages.items() if share >= MINORITY]
    if len(spoken) < 2:
        return ""
    main = spoken[0]
    shares = ", ".join(f"{code} {about.languages[code]:.0%}" for code in spoken)
    return f"languages of the texts: {shares}; to leave out all but {main}: {{use: keep_languages, languages: [{main}]}}"


def _split_note(draft: Draft, roles: Roles) -> str:
    if draft.split is not None:
        return roles.split.why
    if draft.parts:
        return f"{', '.join(draft.parts)} as published; the rest is taken from the training rows"
    if roles.time.column is not None:
        return f"to test on the newest rows: {{time: {roles.time.column}}}"
    return ""


def _length_note(fit: Fit, about: TextLook) -> str:
    if fit.tokens is not None:
        most = f"; the base takes {fit.positions}" if (fit.positions or fit.tokens) < fit.tokens else ""
        return f"98 of 100 texts have at most {fit.tokens} tokens{most}"
    return f"98 of 100 texts have at most {about.lengths[1]} characters; tokens are guessed from that"


def _few_note(draft: Draft, look: Look) -> str:
    """Where classes have few rows: how to learn from few."""
    target = look.column(draft.targets[0]) if draft.targets else None
    if draft.task not in CONTRASTED or target is None or not target.different:
        return ""
    each = round((1 - sum(DEFAULTS.values())) * look.read / target.different)
    if each >= FEW:
        return ""
    said = (
        f"about {each} training rows per class are few: a head fitted to the base's vectors often does better,\n"
        "training: {objective: {use: contrastive}, epochs: 0}, or 20 epochs to teach the encoder too"
    )
    best = "\nbest with descriptions: {CLASS: what its texts are, in a sentence} of every class, beside use"
    return said + (best if draft.task == CONTRASTED[0] else "")


def _limits_note(draft: Draft, look: Look) -> str:
    if draft.task in LANGUAGE_MODELS:
        return "a first guess: more tokens found than by frequency alone; once there is a run, bound its perplexity"
    _, bound = _headline(draft, look)
    rows = max(test_rows(draft, look), 1)
    width = 1.96 * math.sqrt(bound * (1 - bound) / rows)
    said = "a first guess, not advice: say what the model must keep to be of use"
    if not draft.parts and draft.task != "regression":
        said += f"\nwith about {rows} test rows a score of {bound:g} is known to within ±{width:.2f}, and its low end is judged"
    return said
