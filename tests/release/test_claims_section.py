"""The section on what a model gives away of its training rows, in both languages, and its curve."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.audits.test_claims import audited

from charter.release.judge import judge
from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.claims import claims_sections
from charter.release.report.lines import section_lines
from charter.release.report.parts import Facts, Figure, Table, Text
from charter.release.report.sentences import translated
from charter.release.report.wording import Wording
from charter.runs.findings import Finding
from charter.spec.model import Charter, Privacy

ATTACKS = ["loss", "lira", "lira_offline", "rmia", "rmia_offline"]
HEART = "canaries of 8 random words in a sibling run, among 1,000 texts made in the same way (Carlini et al. 2019); "
TWO_WORDS = re.compile(r"[a-z]{3,} [a-z]{3,}")


def told():
    """Findings of every kind, with value and without."""
    members, _ = audited("membership_inference", {"shadow_models": 4, "attack": ATTACKS})
    alone, _ = audited("membership_inference", {"attack": ["loss"]})
    bound, _ = audited("privacy_lower_bound", {"canaries": 400})
    few, _ = audited("privacy_lower_bound", {}, n=12)
    common = {"confidence": 0.95, "n": 20, "split": "train"}
    heart = [
        Finding(
            "privacy_audit", "canary_exposure", 7.3, low=6.8, high=7.9, slice={"repeated": "8"}, unit="bits",
            method=f"{HEART}chance gives 1.44 bits, and 10.0 is the most that can be seen; percentile bootstrap over canaries, "
            "1000 resamples", **common,
        ),
        Finding(
            "privacy_audit", "canaries_extracted", 0.45, low=0.3, high=0.6, slice={"repeated": "8"},
            method=f"{HEART}share that no such text is likelier than; exact binomial interval", **common,
        ),
        Finding(
            "privacy_audit", "verbatim_continuation_rate", 0.01, low=0.0, high=0.02,
            method="given 16 tokens of a text, greedy writing goes on with exactly the next 16 (Carlini et al. 2023); exact binomial "
            "interval", **common,
        ),
        Finding(
            "privacy_audit", "verbatim_continuation_rate", None, slice={"split": "test"}, split="test",
            because="insufficient evidence: 12 texts of 32 tokens or more, at least 30 are needed",
        ),
    ]  # fmt: skip
    return [*members, *bound, *heart], [*alone, *few]


FOUND, OTHERS = told()


def record(epsilon=None, findings=FOUND):
    value = {
        "name": "reviews",
        "data": {"source": "reviews.csv", "inputs": {"text": "text"}, "target": "label"},
        "model": {"base": "sample:minilm"},
        "task": {"use": "classification"},
        "limits": ["membership_auc <= 0.6"],
    }
    charter = Charter.model_validate(value)
    if epsilon is not None:
        charter = charter.model_copy(update={"privacy": Privacy(epsilon=epsilon, delta=1e-5)})
    return Record(
        charter=charter,
        status="refused",
        run_id="run",
        created="",
        verdicts=tuple(judge(charter, findings)),
        findings=tuple(findings),
        provenance={"exports": {}},
        history=(),
        stages=(),
        judged_before={},
    )


def words(section):
    for part in section.parts:
        if isinstance(part, Text):
            yield part.text
        if isinstance(part, Table):
            yield from (part.caption, part.title, *(one.text for one in part.headings))
            yield from (text for row in part.rows for cell in row for text in (cell.text, cell.note))
        if isinstance(part, Facts):
            yield part.title
            yield from (text for name, cell in part.items for text in (name, cell.text, cell.note))
        if isinstance(part, Figure):
            yield from (part.caption, *re.findall(r">([^<>]+)</text>", part.svg))


def lines_of(told):
    return section_lines(claims_sections(told, Wording("en")))


@pytest.mark.parametrize("epsilon", [None, 1.0, 50.0])
def test_the_chinese_section_holds_no_english_sentence(epsilon):
    (section,) = claims_sections(record(epsilon), Wording("zh"))
    shown = list(words(section))
    assert len(shown) > 60
    assert [one for one in shown if TWO_WORDS.search(one)] == []
    (english,) = claims_sections(record(epsilon), Wording("en"))
    assert sum(bool(TWO_WORDS.search(one)) for one in words(english)) > 20  # the test would see one


def test_every_sentence_of_the_evidence_is_in_the_catalogue():
    said = {text for one in (*FOUND, *OTHERS) for text in (one.method, one.because, one.unit) if text}
    said |= {one.because for one in record(1.0).verdicts} | {record(1.0).verdicts[-1].limit}
    assert [one for one in sorted(said) if translated(one) is None] == []


def test_a_refuted_claim_is_said_in_the_section_and_in_the_card():
    assert "epsilon 0.5: refuted" in "\n".join(lines_of(record(0.5)))
    assert "does not prove it" in "\n".join(lines_of(record(50.0)))
    assert "trained without differential privacy" in "\n".join(lines_of(record()))


def test_without_an_audit_of_the_claim_there_is_no_section():
    assert list(claims_sections(record(findings=[]), Wording("en"))) == []


def test_too_little_evidence_is_said_and_not_shown_as_a_number():
    lines = "\n".join(lines_of(record()))
    assert "1,200 non-members, at least 10,000 are needed" in lines
    assert "| LiRA, online | too few |" in lines


def test_all_attacks_are_drawn_inside_their_frame_however_small_the_rates():
    curves = {
        name: {"false": [0.0005, 0.01, 1.0], "true": [0.0, 0.2, 1.0]}
        for name in ("a", "b", "c", "d", "e", "f")
    }
    drawn = ElementTree.fromstring(plots.roc("title", curves, 2000, "x", "y"))
    width, height = float(drawn.get("width")), float(drawn.get("height"))
    lines = [one for one in drawn.iter() if one.tag == "polyline"]
    assert len(lines) == 12  # each with its sample in the legend
    for one in lines:
        for place in one.get("points").split():
            x, y = map(float, place.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
    assert {one.text for one in drawn.iter() if one.tag == "text"} >= {"a", "f", "0.001", "x", "y"}


def test_a_value_of_the_first_form_alone_is_shown():
    other = [replace(one, of="other") for one in FOUND]
    assert any(lines_of(replace(record(findings=other), provenance={"exports": {"a": {"digest": "other"}}})))
