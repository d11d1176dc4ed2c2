"""The section on how groups are treated, in both languages: what is far apart is said, and nothing is left in English."""

import re
from dataclasses import replace

import pytest
from tests.audits.test_fairness import case

from charter.audits.fairness import fairness
from charter.release.judge import judge
from charter.release.record import Record
from charter.release.report.fairness import fairness_sections
from charter.release.report.parts import Figure, Fold, Table, Text
from charter.release.report.sentences import translated
from charter.release.report.wording import Wording
from charter.spec.model import Charter

TWO_WORDS = re.compile(r"[a-z]{3,} [a-z]{3,}")
FOUND = fairness(resamples=200, classes=["yes"], reference={"sex": "man"})(case())
PEOPLE = fairness(resamples=200)(case(subject="who"))


def record(findings=FOUND, limit="equalised_odds_difference[across=sex] <= 0.1"):
    charter = Charter.model_validate(
        {
            "name": "loans",
            "data": {
                "source": "loans.csv",
                "inputs": {"text": "text"},
                "target": "label",
                "groups": ["sex", "region"],
            },
            "model": {"base": "sample:minilm"},
            "task": {"use": "classification"},
            "audits": [{"use": "fairness"}],
            "limits": [limit],
        }
    )
    told = tuple(judge(charter, findings))
    return Record(charter, "refused", "run", "", told, tuple(findings), {"exports": {}}, (), (), {})


def words(parts):
    for part in parts:
        if isinstance(part, Text):
            yield part.text
        if isinstance(part, Fold):
            yield part.title
            yield from words(part.parts)
        if isinstance(part, Table):
            yield from (part.caption, part.title, *(one.text for one in part.headings))
            yield from (text for row in part.rows for cell in row for text in (cell.text, cell.note))
        if isinstance(part, Figure):
            yield from (part.caption, *re.findall(r">([^<>]+)</text>", part.svg))


@pytest.mark.parametrize("findings", [FOUND, PEOPLE])
def test_the_chinese_section_holds_no_english_sentence(findings):
    (section,) = fairness_sections(record(findings), Wording("zh"))
    assert [one for one in words(section.parts) if TWO_WORDS.search(one)] == []
    (english,) = fairness_sections(record(findings), Wording("en"))
    assert sum(bool(TWO_WORDS.search(one)) for one in words(english.parts)) > 20  # the test would see one


def test_every_sentence_of_the_evidence_is_in_the_catalogue():
    said = {text for one in (*FOUND, *PEOPLE) for text in (one.method, one.because) if text}
    assert [one for one in said if translated(one) is None] == []


def test_who_lies_apart_from_whom_is_said_and_by_which_rule():
    (section,) = fairness_sections(record(), Wording("en"))
    shown = list(words(section.parts))
    assert "man > woman" in shown
    assert any("Four-fifths rule: woman is answered “yes” 0.5" in one for one in shown)
    assert any("Left out, since they have too few decisions: other" in one for one in shown)
    assert "woman − man" in shown
    assert any("which is not below 0.8" in one for one in shown)


def test_a_limit_on_a_criterion_is_judged_by_the_interval():
    verdict = record().verdicts[0]
    assert (verdict.outcome, verdict.finding.metric) == ("broken", "equalised_odds_difference")
    kept = record(limit="worst_group_accuracy[across=sex] >= 0.2").verdicts[0]
    assert kept.outcome == "kept"
    every = record(limit="selection_rate[class=yes, sex=*] >= 0.2").verdicts[0]
    assert (every.outcome, every.unjudged) == ("kept", ("class=yes, sex=other",))


def test_without_the_audit_there_is_no_section():
    others = [replace(one, area="performance") for one in FOUND]
    assert list(fairness_sections(record(others), Wording("en"))) == []
