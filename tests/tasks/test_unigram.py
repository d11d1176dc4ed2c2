"""The unigram baseline of language models: counted over the training texts, judged on the same tokens as the model."""

import numpy as np
import polars as pl
import pytest

from charter.audits.case import Answers, Case, FoldedTemperature
from charter.audits.performance import performance
from charter.data.columns import ROW, Columns
from charter.data.pieces import documents_encoded
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.inference import predict_outputs
from charter.release.report.beside import beats, gain_said
from charter.release.report.sentences import translated
from charter.release.report.wording import Wording
from charter.runs.findings import Finding
from charter.tasks import unigram
from charter.tasks.baselines import Baseline
from charter.tasks.causal_language_modelling import CausalLanguageModelling
from charter.tasks.language_model import BYTES, RIGHT, SURPRISE, TOKENS
from charter.tasks.masked_language_modelling import MaskedLanguageModelling
from charter.tasks.sentence_pairs import PAIR_SURPRISE, PAIRS, PAIRS_RIGHT, next_sentence_prediction
from charter.tasks.top_tokens import TopTokens
from charter.tasks.unigram import Unigram

COLUMNS = Columns(inputs={"text": "text"})
TEXTS = [
    "the room was very clean and the crew was kind",
    "rude staff",
    "酒店房间很好",
    "we found the desk slow " * 9,
    "",
]
TRAINING = ["the the the room", "the crew", "so it was"]


def rows_of(texts):
    return pl.DataFrame({ROW: range(1, len(texts) + 1), "text": texts})


def counted(task, tokenizer):
    return Unigram.of(documents_encoded(TRAINING, tokenizer), len(tokenizer), task.ending(tokenizer))


def decoder(tokenizer):
    """An encoder's tokenizer that can end a text, as a decoder's does."""
    tokenizer.eos_token = tokenizer.sep_token
    return tokenizer


def test_counts_are_those_of_the_texts_however_many_are_held_at_once(monkeypatch):
    documents = [np.random.default_rng(seed).integers(0, 20, 30) for seed in range(9)]
    ending = np.asarray([19])
    whole = np.bincount(np.concatenate([one for ids in documents for one in (ids, ending)]), minlength=20)
    assert (Unigram.of(documents, 20, ending).counts == whole).all()
    monkeypatch.setattr(unigram, "AT_ONCE", 40)
    found = Unigram.of(iter(documents), 20, ending)
    assert (found.counts == whole).all()
    np.testing.assert_allclose(np.exp(-found.nats), (whole + 1) / (whole.sum() + 20))
    assert np.exp(-found.nats).sum() == pytest.approx(1)


@pytest.mark.parametrize("task", [MaskedLanguageModelling(probability=0.3), next_sentence_prediction()])
def test_it_is_judged_on_the_hidden_tokens_that_the_model_is_judged_on(tiny_bert, tmp_path, task):
    tokenizer, rows = (
        load_tokenizer(tiny_bert),
        rows_of(["One is here. Two is there. Three goes on.", *TEXTS]),
    )
    examples = task.examples(rows, COLUMNS, tokenizer, 16)
    model = attach(find_base(str(tiny_bert), None, tmp_path), task, seed=1, max_length=16)
    theirs = task.tally(predict_outputs(model, task, examples), rows, COLUMNS)
    ours = task.tally(task.cheap(counted(task, tokenizer), examples), rows, COLUMNS)
    assert (ours[:, [TOKENS, BYTES]] == theirs[:, [TOKENS, BYTES]]).all() and ours[:, TOKENS].sum() > 10
    if task.width > PAIRS:
        assert (ours[:, PAIRS] == theirs[:, PAIRS]).all() and ours[:, PAIRS].sum() > 0
        np.testing.assert_allclose(ours[:, PAIR_SURPRISE], ours[:, PAIRS] * np.log(2), rtol=1e-6)
        assert 0 <= ours[:, PAIRS_RIGHT].sum() <= ours[:, PAIRS].sum()


def test_of_a_decoder_each_token_and_the_end_of_the_text_are_foretold_by_their_share(tiny_bert):
    task, tokenizer = CausalLanguageModelling(), decoder(load_tokenizer(tiny_bert))
    rows, model = rows_of(TEXTS), counted(task, tokenizer)
    sums = task.tally(task.cheap(model, task.examples(rows, COLUMNS, tokenizer, 16)), rows, COLUMNS)
    shares = (model.counts + 1) / (model.counts.sum() + len(tokenizer))
    for row, text in zip(sums, TEXTS, strict=True):
        ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        assert row[SURPRISE] == pytest.approx(-np.log(shares[ids]).sum(), rel=1e-5)
        assert row[TOKENS] == len(ids) and row[BYTES] == len(text.encode())
        assert row[RIGHT] == ids.count(int(model.counts.argmax()))
    scores = task.scores(sums.sum(axis=0))
    assert scores["bits_per_byte", ""] == pytest.approx(
        sums[:, SURPRISE].sum() / np.log(2) / sum(len(one.encode()) for one in TEXTS), rel=1e-5
    )


def told(nats, cheap, rows=60):
    """What the audit says of a model that is surprised by so many nats a token, beside a baseline."""
    random = np.random.default_rng(0)

    def outputs(each):
        return [np.asarray([each * 10 + random.normal(), 10, 5, 0], dtype=np.float32) for _ in range(rows)]

    task, frame = MaskedLanguageModelling(), rows_of(["text"] * rows)
    case = Case(
        of="model",
        task=task,
        columns=COLUMNS,
        train=frame,
        answers={"test": Answers(frame, outputs(nats), "rows")},
        temperature=FoldedTemperature(),
        seed=1,
        beside=(Baseline("unigram", outputs(cheap)),),
    )
    return {(one.area, one.metric): one for one in performance(resamples=200)(case)}


def test_the_audit_tells_what_multiple_of_the_baselines_perplexity_the_models_is():
    found = told(3.0, 4.0)
    ratio = found["baseline", "perplexity_over_baseline"]
    assert ratio.value == pytest.approx(
        found["performance", "perplexity"].value / found["baseline", "perplexity"].value
    )
    assert ratio.low < ratio.value < ratio.high < 1 and beats(ratio) == "better"
    assert beats(told(4.0, 4.0)["baseline", "perplexity_over_baseline"]) == "not_better"
    assert beats(told(5.0, 4.0)["baseline", "perplexity_over_baseline"]) == "worse"
    assert translated(ratio.method) is not None
    assert "baseline" in found["baseline", "headline_gain"].slice


def test_of_too_few_rows_no_multiple_is_told():
    assert ("baseline", "perplexity_over_baseline") not in told(3.0, 4.0, rows=20)


def test_a_gain_is_better_above_nothing_and_a_multiple_below_one():
    gain = Finding("baseline", "headline_gain", 0.2, low=0.1, high=0.3)
    multiple = Finding("baseline", "perplexity_over_baseline", 0.2, low=0.1, high=0.3)
    assert beats(gain) == beats(multiple) == "better"
    assert "times the baseline's" in gain_said(multiple, Wording("en"))
    assert gain_said(gain, Wording("en")).startswith("+0.200")


@pytest.mark.parametrize("task", [MaskedLanguageModelling(probability=0.3), next_sentence_prediction()])
def test_the_likeliest_tokens_are_those_that_count_as_found(tiny_bert, tmp_path, task):
    tokenizer, rows = load_tokenizer(tiny_bert), rows_of(TEXTS * 9)
    examples = task.examples(rows, COLUMNS, tokenizer, 16)
    model = attach(find_base(str(tiny_bert), None, tmp_path), task, seed=1, max_length=16)
    sums = predict_outputs(model, task, examples)
    tops = predict_outputs(model, TopTokens(task), examples)
    truths = np.split(np.concatenate(list(task.judged(examples))), np.cumsum([len(one) for one in tops])[:-1])
    for one, top, truth in zip(sums, tops, truths, strict=True):
        assert len(top) == one[TOKENS] and (top == truth).sum() == one[RIGHT]
