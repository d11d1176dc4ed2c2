"""A report before it is drawn: what was measured on what, in both languages."""

import dataclasses
from dataclasses import replace

import pytest

from charter.release.report.parts import Table
from charter.release.report.performance import performance_sections
from charter.release.report.reading import reading_sections
from charter.release.report.view import first_lines
from charter.release.report.wording import Wording, interval
from charter.release.selection import foremost
from charter.runs.findings import Finding
from charter.spec.limits import parse_limit
from charter.spec.use import Use


def test_rows_that_preparation_made_are_told_beside_those_learned_from(silent_run):
    record = silent_run.result.record
    made = Finding("data", "rows_added", 40.0, slice={"preparation": "balance", "kind": "repeated"})
    padded = dataclasses.replace(record, findings=(*record.findings, made))
    assert "copies or variants" not in first_lines(record, Wording("en"))[0]
    assert "had added 40 copies or variants" in first_lines(padded, Wording("en"))[0]
    assert "增添的 40 行" in first_lines(padded, Wording("zh"))[0]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("similar text", "4 of the 94 test rows are equal or similar to a training row"),
        ("same subject", "4 of the 94 test rows are of someone who has training rows too"),
        ("text inside of a longer one", "4 of the 94 test rows stand inside of a training text"),
    ],
)
def test_test_rows_that_leak_are_told_in_the_first_lines(silent_run, kind, said):
    record = silent_run.result.record
    others = [one for one in record.findings if one.metric != "leakage"]
    leak = Finding("data", "leakage", 4.0, n=94, slice={"kind": kind, "split": "test"}, unit="rows")
    told = first_lines(dataclasses.replace(record, findings=(*others, leak)), Wording("en"))
    assert any(line.startswith(said) for line in told)
    none = dataclasses.replace(record, findings=(*others, dataclasses.replace(leak, value=0.0)))
    assert not any("test rows" in line and "may flatter" in line for line in first_lines(none, Wording("en")))
    assert any(
        "94 个测试行中有 4 行" in line
        for line in first_lines(dataclasses.replace(record, findings=(*others, leak)), Wording("zh"))
    )


def test_how_often_a_class_occurs_is_what_is_true_not_what_its_f1_rests_on(silent_run):
    record = silent_run.result.record
    (matrix,) = (one.attachment for one in record.findings if one.metric == "confusion")
    truly = {label: sum(row) for label, row in zip(matrix["labels"], matrix["counts"], strict=True)}
    (section,) = (one for one in performance_sections(record, Wording("en")) if one.id == "classes")
    (table,) = (one for one in section.parts if isinstance(one, Table))
    assert {row[0].text: int(row[1].text) for row in table.rows} == truly


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        (["bits_per_byte <= 3", "perplexity <= 9"], "bits_per_byte"),
        (["headline_gain[baseline=unigram] > 0", "token_accuracy >= 0.2"], "token_accuracy"),
        (["size <= 9"], "perplexity"),
    ],
)
def test_a_language_model_shows_first_what_its_first_limit_is_on(silent_run, limits, first):
    record = silent_run.result.record
    assert foremost(record) == "macro_f1"
    changed = {"task": Use(use="causal_language_modelling"), "limits": tuple(map(parse_limit, limits))}
    assert foremost(replace(record, charter=record.charter.model_copy(update=changed))) == first


def test_measured_numbers_have_a_true_minus_sign_and_two_negative_ends_no_dash_between_them():
    reason = (
        "the low end of its 95% interval is -0.02978; its value -0.019 would keep it, but that is not proven"
    )
    assert "is −0.02978; its value −0.019" in Wording("en").said(reason)
    assert "下端为 −0.02978" in Wording("zh").said("the low end of its 95% interval is -0.02978")
    assert Wording("en").said("60 of class -1") == "60 of class -1"
    assert interval(Finding("baseline", "headline_gain", -0.02, low=-0.03, high=-0.01)) == "−0.030 … −0.010"


def test_what_a_model_writes_from_nothing_is_not_said_to_be_held_out(silent_run):
    told = {"seed": 7, "written": [{"text": "Once", "seed": 7, "ended": "max_tokens"}]}
    record = replace(silent_run.result.record, examples={"language": told})
    (section,) = reading_sections(record, Wording("en"))
    assert "Held-out" not in section.parts[0].text
    assert "wrote from nothing" in section.parts[0].text
