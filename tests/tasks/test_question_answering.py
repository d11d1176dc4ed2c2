"""Questions: scores are the official ones, long texts lose nothing, places are right, a run gives a bundle that answers."""

import json

import numpy as np
import polars as pl
import pytest

from charter.data.answers import PLACES, answers_said, placed
from charter.data.columns import PLACE, ROW, SPLIT, Columns
from charter.data.preparation import prepare_again
from charter.data.reading import read_source
from charter.data.windows import encode_windows
from charter.models.base import load_model, load_tokenizer
from charter.models.inference import predict_outputs
from charter.pipeline import run
from charter.release.bundle import read_bundle
from charter.release.verification import verify
from charter.serving.answers import open_answerer
from charter.spec.data import Data
from charter.spec.use import Use
from charter.tasks import restore
from charter.tasks.answer_scoring import rightness
from charter.tasks.question_answering import question_answering
from charter.tasks.spans import best_spans, merged

TASK = question_answering(stride=8)
COLUMNS = Columns(inputs={"question": "text", "context": "text"}, target="answers", form=TASK.form)

SQUAD = [  # answer, right ones, exact, F1: worked out by hand from the definition
    ("the Eiffel Tower", ["Eiffel Tower"], 1.0, 1.0),
    ("Eiffel-Tower!", ["Eiffel Tower", "the eiffeltower"], 1.0, 1.0),
    ("in Paris", ["Paris"], 0.0, 2 / 3),
    ("a red red car", ["red car"], 0.0, 0.8),
    ("Rome", ["Oslo", "Rome in Italy"], 0.0, 0.5),
    ("", [], 1.0, 1.0),
    ("Rome", [], 0.0, 0.0),
    ("", ["Rome"], 0.0, 0.0),
    ("", ["the"], 1.0, 1.0),
    ("An", ["Rome"], 0.0, 0.0),
]
CMRC = [
    ("1957年", ["1957年"], 1.0, 1.0),
    ("《红楼梦》", ["红楼梦"], 1.0, 1.0),
    ("北京大学", ["北京"], 0.0, 2 / 3),
    ("北大京", ["北京"], 0.0, 0.4),  # the longest shared run is one character, whatever a bag would hold
    ("在Oslo大学", ["Oslo大学"], 0.0, 6 / 7),
    ("上海", ["北京"], 0.0, 0.0),
]


@pytest.mark.parametrize(("answer", "truths", "exact", "f1"), SQUAD)
def test_answers_are_scored_as_squad_scores_them(answer, truths, exact, f1):
    found = rightness(answer, truths, "squad")
    assert (found.exact, found.f1) == (exact, pytest.approx(f1))


@pytest.mark.parametrize(("answer", "truths", "exact", "f1"), CMRC)
def test_chinese_answers_are_scored_as_cmrc_scores_them(answer, truths, exact, f1):
    found = rightness(answer, truths, "cmrc2018")
    assert (found.exact, found.f1) == (exact, pytest.approx(f1))


def test_answers_are_understood_in_every_usual_form():
    text = "in Rome, in 1950"
    for value in (
        {"text": ["Rome"], "answer_start": [3]},
        {"text": "Rome", "answer_start": 3},
        [{"text": "Rome", "answer_start": 3}],
        ["Rome"],
        "Rome",
    ):
        assert placed(answers_said(value), text) == [{"start": 3, "end": 7}]
    for value in (None, [], {"text": [], "answer_start": []}, " "):
        assert placed(answers_said(value), text) == []
    for value in (7, [7], {"text": ["Rome"], "answer_start": []}, {"text": ["Rome"], "answer_start": [4]}):
        assert placed(answers_said(value), text) is None


def question_rows(contexts, answers, questions=None):
    n = len(contexts)
    return pl.DataFrame(
        {
            ROW: pl.Series(range(1, n + 1), dtype=pl.Int64),
            "question": questions or ["was it great"] * n,
            "context": contexts,
            "answers": pl.Series(answers, dtype=PLACES),
            SPLIT: ["train"] * n,
        }
    )


def test_every_answer_stands_whole_in_a_window_and_its_tokens_are_its_words(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    words = [f"{a} {b}" for a in ("room", "crew", "meal") for b in ("great", "rude", "warm", "slow")]
    text = " and the ".join(words)
    places = [{"start": text.index(one), "end": text.index(one) + len(one)} for one in words]
    rows = question_rows([text] * len(words), [[one] for one in places])
    examples = TASK.fit(rows, COLUMNS).examples(rows, COLUMNS, tokenizer, 24)
    assert examples.sizes.min() > 1 and examples.truncated == 0
    ends = np.cumsum(examples.sizes)
    for row, place in enumerate(places):
        pairs = examples.targets[row].reshape(-1, 2)
        found = set()
        for sequence, (start, end) in zip(range(ends[row] - len(pairs), ends[row]), pairs, strict=True):
            where = examples.places[sequence]
            if start != examples.nothing[sequence]:
                found.add((int(where[start, 0]), int(where[end, 1])))
        assert found == {(place["start"], place["end"])}


def test_windows_cover_every_character_of_a_text(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    text = "酒店房间很好 " * 30 + "the crew was very kind again"
    found = encode_windows(["was it good"], [text], tokenizer, 32, 8)
    covered = np.zeros(len(text), dtype=bool)
    for places in found.places:
        for start, end in places[places[:, 0] >= 0]:
            covered[start:end] = True
    assert len(found.ids) == found.sizes[0] > 5
    assert all(covered[at] for at, sign in enumerate(text) if not sign.isspace())


def test_overlong_questions_are_cut_and_counted(tiny_bert):
    found = encode_windows(["was it " * 100], ["very kind"], load_tokenizer(tiny_bert), 32, 8)
    assert found.truncated == 1
    assert max(len(ids) for ids in found.ids) <= 32


def test_the_best_spans_are_those_of_trying_all():
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(2, 30)).astype(np.float32)
    places = np.stack([np.arange(30) * 3, np.arange(30) * 3 + 2], axis=1)
    places[:4] = -1
    every = sorted(
        (float(start[a]) + float(end[b]), a, b) for a in range(4, 30) for b in range(a, min(a + 5, 30))
    )[::-1]
    found = merged(0.0, [best_spans(start, end, places, 5, 20)], 20)[1:]
    assert [(int(one[0]) // 3, (int(one[1]) - 2) // 3) for one in found] == [(a, b) for _, a, b in every[:20]]


def candidates(seed, n=60):
    """Outputs of n questions on one text, and rows of which some have no answer."""
    rng = np.random.default_rng(seed)
    text = "we found the room very warm"
    outputs, answers = [], []
    for _ in range(n):
        known = rng.random() < 0.6
        spans = np.asarray([[13, 17, rng.normal() + known], [23, 27, -3.0]], dtype=np.float32)
        outputs.append(merged(float(rng.normal()), [spans], 20))
        answers.append([{"start": 13, "end": 17 if rng.random() < 0.8 else 22}] if known else [])
    rows = question_rows([text] * n, answers)
    return question_answering().fit(rows, COLUMNS), outputs, rows


def test_the_threshold_is_the_best_of_all_there_are():
    from dataclasses import replace

    from charter.tasks.task import HeldOut

    task, outputs, rows = candidates(1)
    settled = task.settle(lambda _: HeldOut(rows, outputs), COLUMNS)

    def f1(threshold):
        one = replace(task, threshold=threshold)
        return one.scores(one.tally(outputs, rows, COLUMNS).sum(axis=0))["answer_f1", ""]

    best = max(f1(threshold) for threshold in np.linspace(-6, 6, 2001))
    assert f1(settled.threshold) == pytest.approx(best) and f1(0.0) < best
    assert restore(settled.state()) == settled


def test_scores_of_answerable_and_unanswerable_questions_are_of_these_alone():
    task, outputs, rows = candidates(2)
    scores = task.scores(task.tally(outputs, rows, COLUMNS).sum(axis=0))
    known = rows["answers"].list.len() > 0
    for name, part in (("has_answer_f1", known), ("no_answer_accuracy", ~known)):
        some = [one for one, keep in zip(outputs, part, strict=True) if keep]
        alone = task.scores(task.tally(some, rows.filter(part), COLUMNS).sum(axis=0))
        assert scores[name, ""] == pytest.approx(alone["answer_f1", ""])


def test_a_temperature_changes_no_place_and_no_answer():
    task, outputs, rows = candidates(3)
    cool = task.tempered(outputs, 2.5)
    before, after = (task.decode(one, rows, COLUMNS) for one in (outputs, cool))
    assert before.drop("probability").equals(after.drop("probability"))
    told = task.confidences(outputs, rows, COLUMNS)
    np.testing.assert_allclose(
        task.confidences(cool, rows, COLUMNS).stated, told.link(told.logits / 2.5)[:, 1], rtol=1e-5
    )


def test_answers_that_do_not_stand_in_their_text_are_rejected(tmp_path):
    lines = [
        {"question": "q", "context": "in Rome", "answers": {"text": ["Rome"], "answer_start": [3]}},
        {"question": "q", "context": "in Rome", "answers": {"text": ["Oslo"], "answer_start": [3]}},
        {"question": "q", "context": "in Rome", "answers": {"text": [], "answer_start": []}},
        {"question": "q", "context": "in Rome", "answers": 7},
        {"question": "", "context": "in Rome", "answers": "Rome"},
    ]
    (tmp_path / "qa.jsonl").write_text("\n".join(json.dumps(one) for one in lines), encoding="utf-8")
    data = Data(source="qa.jsonl", inputs={"question": "text", "context": "text"}, target="answers")
    read = read_source(data, tmp_path, columns=COLUMNS)
    assert read.frame["answers"].to_list() == [[{"start": 3, "end": 7}], []]
    assert sorted(read.rejects["reason"].to_list()) == [
        "an answer of column 'answers' does not stand in column 'context'",
        "no text in column 'question'",
        "wrong type in column 'answers'",
    ]


def test_answers_move_with_their_text_and_rows_whose_answers_vanish_are_dropped():
    texts = ["call 212-555-0198, ask Bob", "ask   Bob"]
    rows = question_rows(texts, [[{"start": 23, "end": 26}], [{"start": 3, "end": 5}]])
    moved = prepare_again(rows, COLUMNS, [Use(use="mask_pii"), Use(use="repair_text")])
    places = [
        text[one["start"] : one["end"]]
        for text, cell in zip(moved.frame["context"], moved.frame["answers"], strict=True)
        for one in cell
    ]
    assert "Bob" in places and "212" not in moved.frame["context"][0]
    assert moved.frame.height + moved.dropped.height == 2
    assert not moved.frame.filter(pl.col("answers").list.len() == 0).height


OTHERS = [
    "room",
    "crew",
    "flight",
    "meal",
    "desk",
    "great",
    "lovely",
    "kind",
    "the",
    "was",
    "very",
    "and",
    "today",
    "again",
    "we",
    "found",
    "it",
    "so",
    "my",
]
ANSWERS = ["awful", "rude", "cold", "dirty", "slow", "broken"]
CHARTER = """\
name: asked
data:
  source: qa.jsonl
  inputs: {{question: text, context: text}}
  target: answers
  prepare: [{{use: mask_pii}}]
  split: {{test: 0.3, validation: 0.15, calibration: 0.15, similarity: 0.99}}
model: {{base: "{base}", max_length: 32}}
task: {{use: question_answering, stride: 8}}
training: {{epochs: 1, batch_size: 16, learning_rate: 3.0e-3}}
audits:
  - {{use: performance, resamples: 100, minimum_n: 5}}
  - {{use: calibration, resamples: 100, minimum_n: 20}}
limits: [answer_f1 >= 0.0]
release: {{formats: [safetensors, onnx]}}
report: {{examples: masked}}
"""


@pytest.fixture(scope="module")
def released(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("qa")
    rng = np.random.default_rng(4)
    lines = []
    for number in range(160):
        words = [str(rng.choice(OTHERS)) for _ in range(int(rng.integers(8, 60)))]
        at = int(rng.integers(len(words)))
        known = number % 3 > 0
        words[at] = str(rng.choice(ANSWERS)) if known else words[at]
        text = " ".join(words)
        answers = [{"text": words[at], "answer_start": len(" ".join(words[:at])) + (at > 0)}] if known else []
        asked = " ".join(rng.choice(OTHERS, size=5))
        lines.append(json.dumps({"question": f"{asked} {number}", "context": text, "answers": answers}))
    (folder / "qa.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "charter.yaml").write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    return run(folder / "charter.yaml")


def test_a_run_on_questions_ends_in_a_bundle_with_its_proof(released):
    assert released.released and verify(released.bundle, None).ok
    measured = {one.metric for one in released.record.findings if one.value is not None}
    assert {"answer_f1", "exact_match", "has_answer_f1", "no_answer_accuracy", "headline_gain"} <= measured
    assert {"expected_calibration_error", "answered_share"} <= measured
    page = released.report.read_text(encoding="utf-8")
    assert "F1 of answers" in page and "most shared words" in page


def test_a_bundle_answers_questions_with_places_in_the_text_as_given(released):
    answerer = open_answerer(read_bundle(released.bundle))
    text = "call 212-555-0198 about the rude crew and the warm room " * 3
    task = answerer.task
    found = answerer.answer_texts(
        [{"question": "we found it", "context": text}, {"question": "x", "context": None}]
    )
    assert found["not_answered"].to_list() == [None, "no text"]
    one = found.row(0, named=True)
    assert 0 <= one["probability"] <= 1
    if one["answer"] is not None:
        given = text[one["start"] : one["end"]]
        assert given == one["answer"] or "[" in one["answer"]
    assert task.unanswerable
    graph = open_answerer(read_bundle(released.bundle), engine="onnx")
    again = graph.answer_texts([{"question": "we found it", "context": text}]).row(0, named=True)
    assert again["answer"] == one["answer"]
    assert again["probability"] == pytest.approx(one["probability"], abs=1e-3)


def test_predict_answers_questions_of_a_file_on_the_command_line(released, tmp_path):
    from charter.cli import run_command

    rows = [
        {"question": "we found it", "context": "the crew was rude again"},
        {"question": "x", "context": " "},
    ]
    (tmp_path / "new.jsonl").write_text("\n".join(json.dumps(one) for one in rows), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    assert (
        run_command(
            ["predict", str(released.bundle), "--file", str(tmp_path / "new.jsonl"), "--out", str(out)]
        )
        == 0
    )
    told = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert (
        told[0]["answer"] is None
        or told[0]["answer"] == rows[0]["context"][told[0]["start"] : told[0]["end"]]
    )
    assert told[1]["not_answered"]


def test_plain_transformers_opens_the_bundle_and_gives_the_same_logits(released):
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(released.bundle)
    model = AutoModelForQuestionAnswering.from_pretrained(released.bundle).eval()
    bundle = read_bundle(released.bundle)
    task = restore(bundle.preparation.task.model_dump())
    rows = question_rows(["the crew was rude again"], [[]]).with_columns(pl.lit("x").alias(PLACE))
    examples = task.examples(rows, COLUMNS, load_tokenizer(released.bundle), 32, with_targets=False)
    ours = predict_outputs(load_model(released.bundle, task), task, examples)[0]
    with torch.inference_mode():
        told = model(**tokenizer("was it great", "the crew was rude again", return_tensors="pt"))
    best = max(
        float(told.start_logits[0, a] + told.end_logits[0, b]) for a in range(5, 10) for b in range(a, 10)
    )
    assert ours[0, 2] == pytest.approx(float(told.start_logits[0, 0] + told.end_logits[0, 0]), abs=1e-4)
    assert ours[1, 2] == pytest.approx(best, abs=1e-4)


def test_init_takes_questions_with_their_answers_for_what_they_are(tiny_bert, tmp_path, monkeypatch):
    from charter import spec
    from charter.cli import run_command

    monkeypatch.chdir(tmp_path)
    row = {
        "id": 1,
        "question": "what",
        "context": "in Rome",
        "answers": {"text": ["Rome"], "answer_start": [3]},
    }
    lines = [json.dumps({**row, "id": number, "question": f"what {number}"}) for number in range(60)]
    (tmp_path / "qa.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert run_command(["init", "qa.jsonl", "--yes", "--base", str(tiny_bert)]) == 0
    charter = spec.read(tmp_path / "charter.yaml")
    assert charter.task.use == "question_answering"
    assert (list(charter.data.inputs), charter.data.target) == (["question", "context"], "answers")
