"""A page in Chinese holds no English sentence; what is not in the catalogue is shown as it stands."""

import dataclasses
import re
from html.parser import HTMLParser
from string import Formatter

import pytest

from charter.release.judge import judge
from charter.release.report import render
from charter.release.report.metrics import METRICS
from charter.release.report.sentences import translated
from charter.release.report.words import WORDS
from charter.runs.findings import Finding
from charter.spec.limits import parse_limit

TWO_WORDS = re.compile(r"[A-Za-z][a-z]+(?:['-][a-z]+)? +[a-z]{2,}")
"""Two English words in a row: the beginning of a sentence that nobody translated."""


class Shown(HTMLParser):
    """The text of a page that a reader sees in the page's own language: nothing marked as not to be translated."""

    def __init__(self):
        super().__init__()
        self.pieces, self.skipping = [], []

    def handle_starttag(self, tag, attributes):
        if tag in ("meta", "link", "br", "line", "rect", "circle", "polyline"):
            return
        named = dict(attributes)
        hidden = named.get("translate") == "no" or tag in ("style", "code", "pre")
        self.skipping.append(hidden or bool(self.skipping and self.skipping[-1]))
        self.pieces += [named["aria-label"]] if "aria-label" in named and not self.skipping[-1] else []

    def handle_endtag(self, tag):
        if self.skipping and tag not in ("meta", "line", "rect", "circle", "polyline"):
            self.skipping.pop()

    def handle_data(self, data):
        if not (self.skipping and self.skipping[-1]):
            self.pieces.append(data)


def shown(page):
    reader = Shown()
    reader.feed(page)
    return [" ".join(piece.split()) for piece in reader.pieces if piece.strip()]


@pytest.mark.parametrize("name", ["silent_run", "telling_run", "entity_run"])
def test_a_chinese_page_of_a_real_run_holds_no_english_sentence(name, request):
    record = request.getfixturevalue(name).result.record
    pieces = shown(render(record, language="zh"))
    assert len(pieces) > 100
    assert [piece for piece in pieces if TWO_WORDS.search(piece)] == []
    english = shown(render(record, language="en"))
    assert sum(bool(TWO_WORDS.search(piece)) for piece in english) > 40  # the test would see one


@pytest.mark.parametrize("name", ["silent_run", "telling_run", "entity_run"])
def test_every_sentence_of_the_evidence_is_in_the_catalogue(name, request):
    record = request.getfixturevalue(name).result.record
    said = {text for one in record.findings for text in (one.method, one.because, one.unit) if text}
    said |= {one.because for one in record.verdicts}
    said |= {
        one.slice[key]
        for one in record.findings
        for key in ("reason", "kind", "quantile", "baseline")
        if key in one.slice
    }
    assert [text for text in sorted(said) if translated(text) is None] == []


def test_every_metric_of_a_run_is_explained_on_its_chinese_page(silent_run):
    record = silent_run.result.record
    page = render(record, language="zh")
    measured = {
        one.metric for one in record.findings if one.area in ("performance", "calibration", "baseline")
    }
    assert measured <= set(METRICS)
    assert all(METRICS[one].meaning_zh in page for one in measured)


def test_every_reason_of_a_verdict_is_translated(silent_run):
    charter = silent_run.result.record.charter
    limits = (
        "f1 >= 0.5",
        "f1[class=none] >= 0.5",
        "gone >= 0.5",
        "f1[class=*] >= 0.99",
        "accuracy >= 0.5",
        "mcc >= 0.5",
        "auroc[city=*] >= 0.5",
    )
    findings = [
        Finding(
            "performance", "f1", 0.9, low=0.8, high=1.0, confidence=0.95, slice={"class": "a"}, split="test"
        ),
        Finding(
            "performance",
            "f1",
            None,
            because="insufficient evidence: 3 of class b, at least 30 are needed",
            slice={"class": "b"},
            split="test",
        ),
        Finding("performance", "accuracy", 0.9, split="test"),
        Finding("performance", "mcc", 0.9, low=0.4, high=1.0, split="test"),
        Finding(
            "performance",
            "auroc",
            None,
            because="insufficient evidence: 3 rows, at least 30 are needed",
            slice={"city": "x"},
            split="test",
        ),
    ]
    for wanted in (limits, ()):
        changed = charter.model_copy(update={"limits": tuple(parse_limit(one) for one in wanted)})
        for verdict in judge(changed, findings):
            assert translated(verdict.because) is not None, verdict.because


def test_a_plug_ins_own_words_are_shown_as_they_stand(silent_run):
    record = silent_run.result.record
    own = Finding(
        "length", "own_score", 0.5, method="counted by hand", slice={"length": "short"}, split="test"
    )
    page = render(dataclasses.replace(record, findings=(*record.findings, own)), language="zh")
    assert "counted by hand" in page
    assert "own_score" in page


def test_both_languages_have_the_same_words_and_placeholders():
    english, chinese = WORDS["en"], WORDS["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        holes = [{name for _, name, _, _ in Formatter().parse(one) if name} for one in (text, chinese[key])]
        assert holes[0] == holes[1], key


NOTES = (
    "goes on from update 8 of 60",
    "65% of the training texts' tokens are unknown to the base: its vocabulary is of another language or script, and it "
    "reads little of these texts; name a base of their language",
    "the fractions of data.split are not met (test 3.0%): 1,200 of 2,000 rows are alike, in chains, or of one subject, and stay "
    "on one side; drop_near_duplicates before it, or a higher data.split.similarity, parts more",
    "the 16,281 test rows are worth 23.4 independent ones, since 3,300 of them are alike, in chains, or of one subject: scores will "
    "read too few. Where they are different cases in one form, as rows of a table are, set data.split.similarity to 1 (now 0.8), so that "
    "only equal ones belong together",
    "/a/release/x is still the bundle of run 20261125-1, not of this one",
)


@pytest.mark.parametrize("note", NOTES)
def test_what_a_run_notes_as_it_goes_is_in_the_catalogue(note):
    assert translated(note) is not None
