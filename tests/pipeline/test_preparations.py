"""Preparations in whole runs: what acts on training rows leaves the test as it is, and every row is accounted for."""

import random

import pytest

import charter
from charter.pipeline import run
from charter.release.report import render
from charter.release.report.sentences import translated

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  groups: [city]
  prepare: {prepare}
  split: {{test: 0.3, validation: 0.1, calibration: 0.1}}
model: {{base: "{base}", max_length: 32, adapt: {{use: head}}}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 32}}
audits: [{{use: performance, resamples: 100}}]
limits: [accuracy >= 0.1]
"""
BEFORE = "{use: drop_exact_duplicates}, {use: keep_languages, languages: [en]}, {use: drop_short, words: 3}"
AFTER = (
    "{use: decontaminate, against: {bench: bench.csv}}, {use: label_noise}, {use: cap_per_class, rows: 60}, "
    "{use: balance, by: [city]}, {use: augment}"
)


WORDS = [
    "the",
    "room",
    "was",
    "very",
    "clean",
    "and",
    "staff",
    "found",
    "it",
    "so",
    "today",
    "again",
    "with",
    "my",
    "time",
]


def _review(draw, label):
    return " ".join([*draw.sample(WORDS, 8), "lovely" if label == "good" else "awful"])


@pytest.fixture
def folder(tmp_path, tiny_bert):
    draw = random.Random(5)
    lines = [
        f"{_review(draw, label)},{label},{draw.choice(['Oslo', 'Rome'])}" for label in ["good", "bad"] * 120
    ]
    lines += ["das Zimmer war schmutzig und das Personal sehr unhöflich zu uns,bad,Rome", "ok,good,Rome"]
    (tmp_path / "reviews.csv").write_text("text,label,city\n" + "\n".join(lines) + "\n", encoding="utf-8")
    benchmark = [line.split(",")[0].upper() for line in lines[:120]]
    (tmp_path / "bench.csv").write_text("text\n" + "\n".join(benchmark) + "\n", encoding="utf-8")
    return tmp_path


def prepared(folder, base, *prepare):
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(base=base, prepare=f"[{', '.join(prepare)}]"), encoding="utf-8")
    return run(path)


def counted(result):
    counts: dict[str, float] = {}
    for one in result.record.findings:
        if one.area == "data" and (one.metric != "rows" or not one.slice):
            counts[one.metric] = counts.get(one.metric, 0) + (one.value or 0)
    return counts


def test_the_test_split_is_the_same_with_and_without_what_acts_on_training_rows(folder, tiny_bert):
    plain, full = prepared(folder, tiny_bert, BEFORE), prepared(folder, tiny_bert, BEFORE, AFTER)
    digests = [one.record.provenance["data"]["test_digest"] for one in (plain, full)]
    assert digests[0] == digests[1]
    counts = counted(full)
    made = counts["rows_added"]
    assert made > 50
    assert counts["rows"] == counts["rows_read"] - counts["rows_dropped"] + made
    reasons = {one.slice.get("reason") for one in full.record.findings if one.metric == "rows_dropped"}
    assert {"another language (de)", "fewer than 3 words", "in evaluation set 'bench': equal text"} <= reasons


def test_the_page_tells_rows_made_and_labels_doubted_in_both_languages(folder, tiny_bert):
    record = prepared(folder, tiny_bert, BEFORE, AFTER).record
    said = [one.slice[key] for one in record.findings for key in ("reason", "kind") if key in one.slice]
    said += [one.method for one in record.findings if one.metric.startswith("label_noise")]
    assert [text for text in said if translated(text) is None] == []
    english, chinese = render(record, language="en"), render(record, language="zh")
    assert "augmented: delete" in english and "Training labels that are probably wrong" in english
    assert "数据增强：删词" in chinese and "很可能标错的训练标签" in chinese


def test_an_evaluation_set_that_changed_is_looked_at_again(folder, tiny_bert):
    prepare = "{use: decontaminate, against: {bench: bench.csv}}"
    first = prepared(folder, tiny_bert, prepare)
    again = prepared(folder, tiny_bert, prepare)
    (folder / "bench.csv").write_text("text\nanother benchmark\n", encoding="utf-8")
    changed = prepared(folder, tiny_bert, prepare)
    reused = [one.record.stages[0].get("reused", False) for one in (first, again, changed)]
    assert reused == [False, True, False]
    assert counted(first)["rows_dropped"] > 0 == counted(changed).get("rows_dropped", 0)


def test_a_bundle_answers_what_it_was_not_trained_for_with_the_reason(folder, tiny_bert):
    result = prepared(folder, tiny_bert, BEFORE, AFTER)
    texts = ["the room was lovely and warm", "das Zimmer war schmutzig und das Personal unhöflich", "ok"]
    answers = charter.answer(charter.open_bundle(result.bundle), texts)
    assert answers["not_answered"].to_list() == [None, "another language (de)", "fewer than 3 words"]
