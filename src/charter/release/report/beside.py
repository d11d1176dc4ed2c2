"""How a model stands beside a cheap one, in words: by how much its main score is higher, or by what multiple of a score. Pure."""

from charter.release.report.wording import Wording, interval, number
from charter.runs.findings import Finding

OVER_BASELINE = "_over_baseline"
"""How the name of a score ends that is told as a multiple of a baseline's."""


def compares(one: Finding) -> bool:
    """Whether a finding compares the model with a baseline, and has a value."""
    return one.value is not None and (one.metric == "headline_gain" or is_multiple(one))


def is_multiple(one: Finding) -> bool:
    """Whether a finding is a multiple of a baseline's score."""
    return one.metric.endswith(OVER_BASELINE)


def metric_of(one: Finding, headline: str) -> str:
    """The score by which a finding compares."""
    return one.metric.removesuffix(OVER_BASELINE) if is_multiple(one) else headline


def gain_said(one: Finding, say: Wording) -> str:
    """How much better the model is, with the interval's ends."""
    value = one.value or 0.0
    if is_multiple(one):
        return say("multiple", value=number(value), ends=interval(one))
    return f"{number(value, signed=True)} ({interval(one, signed=True)})"


def beats(one: Finding) -> str:
    """Whether a gain over a baseline is proven: better, worse or not_better. A multiple of its surprise is better below 1."""
    even = 1.0 if is_multiple(one) else 0.0
    above, below = one.low is not None and one.low > even, one.high is not None and one.high < even
    if is_multiple(one):
        above, below = below, above
    return "better" if above else "worse" if below else "not_better"
