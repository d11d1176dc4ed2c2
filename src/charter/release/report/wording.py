"""How the report speaks one language: words, names, numbers and the evidence's own sentences."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from charter.release.report.metrics import METRICS
from charter.release.report.sentences import translated
from charter.release.report.words import WORDS, Language
from charter.runs.findings import Finding
from charter.spec.limits import Limit, parse_limit

SIGNS = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}
OWN_VALUES = ("baseline", "temperature", "split", "kind", "quantile", "reason", "statistic", "attack")
"""Slices whose values Charter names itself; every other value is the data's."""
ENGLISH_NAMES = {
    "majority": "majority class",
    "training_mean": "the training rows' mean",
    "tfidf_ridge": "TF-IDF + ridge regression",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "nearest_description": "nearest description, zero-shot",
    "word_features_logistic_regression": "word features + logistic regression",
    "random_order": "random order",
    "bm25": "BM25",
    "unigram": "unigram token frequencies",
    "tfidf_cosine": "cosine of TF-IDF",
    "no_answer": "never an answer",
    "lexical_overlap": "most shared words",
    "loss": "loss threshold",
    "lira": "LiRA, online",
    "lira_offline": "LiRA, offline",
    "rmia": "RMIA, online",
    "rmia_offline": "RMIA, offline",
    "blind": "control: never sees the model",
    "before": "before",
    "95 %": "95th percentile",
    "minimum": "shortest",
    "median": "median",
    "maximum": "longest",
}


@dataclass(frozen=True)
class Wording:
    """One language's words; called with a key it gives the page's own words."""

    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """The words under a key, with its placeholders filled."""
        text = WORDS[self.language][key]
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there are words under a key."""
        return key in WORDS[self.language]

    def metric(self, name: str) -> str:
        """A metric's name for people; one that is not known keeps its identifier."""
        known = METRICS.get(name)
        if known is None:
            return name
        return known.zh if self.language == "zh" else known.en

    def said(self, text: str) -> str:
        """A sentence of the evidence; what is in no catalogue stays as it is."""
        if self.language == "en":
            return _true_minus(text)
        return _true_minus((translated(text) or text).replace("(missing)", "（缺失）"))

    def name(self, text: str) -> str:
        """A value that Charter itself gave a name to: a baseline, a quantile, a split."""
        if self.language == "zh":
            return translated(text) or text
        return ENGLISH_NAMES.get(text, text)

    def value(self, name: str, value: str) -> str:
        """The value of a slice."""
        if name == "split" and self.has(f"split_{value}"):
            return self(f"split_{value}")
        return self.name(value) if name in OWN_VALUES or value == "(missing)" else value

    def column(self, name: str) -> str:
        """What a slice is about: Charter's own kinds have words, a column of the data keeps its name."""
        return self(f"slice_{name}") if self.has(f"slice_{name}") else name

    def slice(self, parts: Mapping[str, str]) -> str:
        """The part that a finding is about: `topic: airlines`."""
        colon = "：" if self.language == "zh" else ": "
        return ("，" if self.language == "zh" else ", ").join(
            f"{self.column(name)}{colon}{self.value(name, value)}" for name, value in parts.items()
        )

    def stage(self, name: str) -> str:
        """A stage of a run."""
        kind, _, rest = name.partition(" ")
        if kind == "audit" and rest:
            return self("stage_audit", name=self.said(rest))
        if kind == "trial" and rest:
            return self("stage_trial", number=rest)
        if rest and self.has(f"stage_{kind}_of"):
            return self(f"stage_{kind}_of", name=rest)
        first, _, number = name.rpartition(" ")
        if number.isdigit() and self.has(f"stage_{first}"):
            return f"{self(f'stage_{first}')} {number}"
        return self(f"stage_{name}") if self.has(f"stage_{name}") else name

    def limit(self, text: str) -> str:
        """A limit in words, `Recall (class: good) ≥ 0.7`; a demand of the risk as its sentence."""
        limit = read_limit(text)
        if limit is None:
            return self.said(text)
        sign = SIGNS[limit.comparison]
        where = [
            self("every", column=self._apart(self.column(name)))
            if value == "*"
            else self.slice({name: value})
            for name, value in limit.slices
        ]
        inside = ("，" if self.language == "zh" else ", ").join(where)
        around = ("（{}）" if self.language == "zh" else " ({})").format(inside) if inside else ""
        return f"{self.metric(limit.metric)}{around} {sign} {limit.bound:g}"

    def _apart(self, name: str) -> str:
        """A name with the space that Chinese sets before Latin letters."""
        return f" {name}" if self.language == "zh" and name.isascii() else name

    def missing(self, finding: Finding) -> str:
        """Why a finding has no value, in two words."""
        return self("undefined" if "not defined" in finding.because else "too_few")

    def share(self, value: float) -> str:
        """A share of the data, in percent."""
        digits = 0 if value in (0.0, 1.0) else 1 if 0.001 <= value <= 0.999 else 2
        return f"{value * 100:.{digits}f}%" if self.language == "zh" else f"{value * 100:.{digits}f} %"

    def count(self, value: float) -> str:
        """A whole number with thousands apart."""
        return f"{value:,.0f}"

    def energy(self, joules: float) -> str:
        """Energy for people; 1 Wh is 3.6 kJ."""
        if joules < 3.6e3:
            return self("joules", value=f"{joules:,.1f}")
        return self("kilojoules", value=f"{joules / 1e3:,.1f}", hours=f"{joules / 3.6e3:,.1f}")

    def duration(self, seconds: float) -> str:
        """A time for people."""
        if seconds < 100:
            return self("seconds", value=f"{seconds:.1f}")
        if seconds < 5400:
            return self("minutes", value=f"{seconds / 60:.1f}")
        return self("hours", value=f"{seconds / 3600:.1f}")


def read_limit(text: str) -> Limit | None:
    """The limit that a verdict is about, or None where it is about a demand of the risk."""
    try:
        return parse_limit(text)
    except ValueError:
        return None


def number(value: float, *, signed: bool = False) -> str:
    """A score to three decimals, with a true minus sign."""
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    if float(text) == 0:
        text = text.lstrip("+-") if not signed else "±0.000"
    return text.replace("-", "−")


def _true_minus(sentence: str) -> str:
    """A sentence whose measured numbers have a true minus sign; a value of the data stays as it is."""
    return re.sub(r"(\bis|\bvalue|[端值]为|测得值) -(?=\d)", r"\1 −", sentence)


def interval(finding: Finding, *, signed: bool = False) -> str:
    """The ends of a finding's interval, or nothing where it has none: a count has not."""
    if finding.low is None or finding.high is None or finding.exact:
        return ""
    low, high = number(finding.low, signed=signed), number(finding.high, signed=signed)
    return f"{low} … {high}" if signed or "−" in low else f"{low}–{high}"


def confidence(one: Finding) -> str:
    """The confidence of an interval in percent."""
    return f"{(one.confidence or 0) * 100:g}%"
