"""Pairs of segments: how they are drawn from documents, and that losses are those of transformers' own models."""

import pickle

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.data.batch import IGNORED
from charter.data.columns import ROW, Columns
from charter.data.pairs import FOLLOWS, OTHER, PairFrame, drawn_spans
from charter.data.segments import Segments, partition
from charter.data.sentences import sentences_of
from charter.errors import DataError, ModelError
from charter.models.architectures import PAIRED, new_base
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.exports import save_model
from charter.models.forward import forward_of
from charter.spec.use import Use
from charter.tasks.masked_language_modelling import MaskedLanguageModelling
from charter.tasks.sentence_pairs import next_sentence_prediction, sentence_order_prediction

COLUMNS = Columns(inputs={"text": "text"})
TEXTS = [
    "The room was clean. The crew was kind! We found it so. My meal was lovely today. It was warm again.",
    "酒店很好。房间干净！服务态度冷热不一。不差的酒店了。",
    "Rude staff",
    "The desk was slow. The queue was cold. The seat was dirty and the phone broken. We found it awful.",
]


def rows_of(texts):
    return pl.DataFrame({ROW: range(1, len(texts) + 1), "text": texts})


def numbered(documents, room):
    """Segments whose tokens are their own places, so that a span tells what it holds; documents: lengths of their sentences."""
    pieces, starts, ends, rows = [0], [0], [0], []
    for row, lengths in enumerate(documents):
        for length in lengths:
            starts.append(starts[-1] + length)
        for count in partition(lengths, room):
            pieces.append(pieces[-1] + count)
            rows.append(row)
        ends.append(pieces[-1])
    arrays = [np.asarray(one, dtype=np.int64) for one in (starts, pieces, ends, rows)]
    return Segments(np.arange(starts[-1]), *arrays)


documents = st.lists(st.lists(st.integers(1, 10), min_size=1, max_size=12), min_size=2, max_size=8)


@settings(deadline=None)
@given(documents, st.integers(0, 5))
def test_every_sentence_is_in_one_piece_that_fits_and_reaches_into_no_other_document(lengths, spare):
    room = 20 + spare
    segments = numbered(lengths, room)
    sizes = segments.starts[segments.pieces[1:]] - segments.starts[segments.pieces[:-1]]
    assert (sizes <= room).all() and sizes.sum() == len(segments.ids)
    assert set(segments.documents.tolist()) <= set(segments.pieces.tolist())


@settings(deadline=None)
@given(documents, st.integers(0, 99))
def test_a_true_second_follows_and_a_random_one_is_of_another_document(lengths, seed):
    segments = numbered(lengths, 20)
    spans = drawn_spans(segments, "next", np.random.default_rng(seed), 20)
    bounds = segments.starts[segments.documents]

    def document(place):
        return np.searchsorted(bounds, place, side="right") - 1

    begin, end = segments.starts[segments.pieces[:-1]], segments.starts[segments.pieces[1:]]
    for at, label in enumerate(spans.labels):
        (a, b), (c, d) = spans.first[at], spans.second[at]
        assert a == begin[at] and b > a and b - a + d - c <= 20
        if label == IGNORED:
            assert segments.pieces[at + 1] - segments.pieces[at] == 1 and c == d
        elif label == FOLLOWS:
            assert (c, d) == (b, end[at])
        else:
            assert d > c and document(c) == document(d - 1) != document(a)
            assert c in segments.starts and b in segments.starts


def test_half_of_the_seconds_are_random_and_all_other_documents_are_drawn_alike():
    segments = numbered([[3] * 6] * 5, 18)
    labels, chosen = np.zeros(2), np.zeros(5)
    for seed in range(2000):
        spans = drawn_spans(segments, "next", np.random.default_rng(seed), 18)
        labels += np.bincount(spans.labels, minlength=2)
        if spans.labels[0] == OTHER:
            chosen[spans.second[0, 0] // 18] += 1
    np.testing.assert_allclose(labels / labels.sum(), [0.5, 0.5], atol=0.02)
    assert chosen[0] == 0
    np.testing.assert_allclose(chosen[1:] / chosen.sum(), 0.25, atol=0.06)


def test_the_length_of_a_random_second_tells_nothing():
    """Else the task could be done without reading."""
    random = np.random.default_rng(0)
    segments = numbered([random.integers(3, 12, 60).tolist() for _ in range(40)], 60)
    true, other = [], []
    for seed in range(20):
        spans = drawn_spans(segments, "next", np.random.default_rng(seed), 60)
        length = spans.second[:, 1] - spans.second[:, 0]
        true += length[spans.labels == FOLLOWS].tolist()
        other += length[spans.labels == OTHER].tolist()
    assert abs(np.mean(true) - np.mean(other)) < 0.1 * np.mean(true)


def test_of_order_the_two_neighbours_are_turned_round_in_half_of_the_cases():
    segments = numbered([[3] * 6] * 300, 18)
    spans = drawn_spans(segments, "order", np.random.default_rng(0), 18)
    turned = spans.labels == OTHER
    assert 0.4 < turned.mean() < 0.6
    before, after = spans.first, spans.second
    assert (before[~turned, 1] == after[~turned, 0]).all() and (after[turned, 1] == before[turned, 0]).all()


def test_a_sentence_ends_at_the_signs_of_both_languages_and_not_at_an_abbreviation():
    told = sentences_of("Dr. Smith came. He left! 今天很好。你去吗？她说：“不去！”走了。")
    assert [one.strip() for one in told] == [
        "Dr. Smith came.", "He left!", "今天很好。", "你去吗？", "她说：“不去！”", "走了。",
    ]  # fmt: skip
    assert "".join(told) == "Dr. Smith came. He left! 今天很好。你去吗？她说：“不去！”走了。"


def test_a_pair_reads_as_the_tokenizer_itself_writes_it(tiny_bert, tmp_path):
    tokenizer, task = load_tokenizer(tiny_bert), next_sentence_prediction()
    examples = task.encoded([rows_of(TEXTS)], COLUMNS, tokenizer, 32, tmp_path / "pieces")
    seen = 0
    for epoch in range(6):
        drawn = examples.anew(3, epoch)
        assert drawn.lengths.tolist() == [len(one) for one in drawn.ids] and max(drawn.lengths) <= 32
        for at, label in enumerate(drawn.pairs):
            (a, b), (c, d) = drawn.ids.spans.first[at], drawn.ids.spans.second[at]
            first, second = drawn.ids.segments.ids[a:b], drawn.ids.segments.ids[c:d]
            two = [tokenizer.decode(first), tokenizer.decode(second)][: 1 if label == IGNORED else 2]
            wanted = tokenizer(*two)
            assert drawn.ids[at].tolist() == wanted["input_ids"]
            assert drawn.types[at].tolist() == wanted["token_type_ids"]
            seen += label == OTHER
    assert seen
    assert (examples.pairs[examples.rows == 3] == IGNORED).all()  # one sentence alone still has hidden tokens
    assert (examples.counts[examples.rows == 3] > 0).all()


def test_an_epoch_draws_always_the_same_and_another_epoch_others(tiny_bert, tmp_path):
    tokenizer, task = load_tokenizer(tiny_bert), next_sentence_prediction()
    examples = task.encoded([rows_of(TEXTS * 5)], COLUMNS, tokenizer, 24, tmp_path / "pieces")
    again = pickle.loads(pickle.dumps(task.encoded([], COLUMNS, tokenizer, 24, tmp_path / "pieces")))
    first, same, other = examples.anew(1, 0), again.anew(1, 0), examples.anew(1, 1)
    assert [one.tolist() for one in first.ids] == [one.tolist() for one in same.ids]
    assert [one.tolist() for one in first.ids] != [one.tolist() for one in other.ids]
    assert first.rows.tolist() == other.rows.tolist()


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def new_albert(folder, tokenizer):
    from transformers import AlbertConfig, AlbertModel

    torch.manual_seed(1)
    config = AlbertConfig(
        vocab_size=len(tokenizer), embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    save_model(AlbertModel(config), tokenizer, folder)
    return folder


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_the_loss_of_an_update_is_transformers_own(tiny_bert, tmp_path, kind):
    """The mean over hidden tokens plus the mean over pairs, in whatever parts it is computed; also with a text alone among them."""
    tokenizer = load_tokenizer(tiny_bert)
    folder = tiny_bert if kind == "bert" else new_albert(tmp_path / "albert", tokenizer)
    task = next_sentence_prediction() if kind == "bert" else sentence_order_prediction()
    base = find_base(str(folder), None, tmp_path)
    model = without_dropout(attach(base, task, seed=1, max_length=32)).double().train()
    examples = task.encoded([rows_of(TEXTS * 3)], COLUMNS, tokenizer, 32, tmp_path / "pieces").anew(0, 4)
    index, forward = np.arange(len(examples)), forward_of(model)
    torch.manual_seed(5)
    whole = examples.batch(index)
    label = "next_sentence_label" if kind == "bert" else "sentence_order_label"
    padded = {**whole.inputs, "labels": whole.targets, label: whole.pairs}
    told = model(**padded).loss
    ours = task.loss(forward, whole)
    assert (whole.pairs == IGNORED).any() and (whole.pairs == OTHER).any()
    assert float((ours * whole.weights).mean().detach()) == pytest.approx(float(told.detach()), abs=1e-5)
    torch.manual_seed(5)  # the same is hidden, part by part, as the generator is drawn from once a call
    parts = [examples.batch(part, index) for part in np.array_split(index, 3)]
    loss = sum((task.loss(forward, part) * part.weights).sum() for part in parts) / len(index)
    joined = {
        name: torch.cat(
            [torch.nn.functional.pad(one.inputs[name], (0, 40 - one.inputs[name].shape[1])) for one in parts]
        )
        for name in parts[0].inputs
    }
    targets = [
        torch.nn.functional.pad(one.targets, (0, 40 - one.targets.shape[1]), value=-100) for one in parts
    ]
    told = model(**joined, labels=torch.cat(targets), **{label: torch.cat([one.pairs for one in parts])}).loss
    assert float(loss.detach()) == pytest.approx(float(told.detach()), abs=1e-5)
    model.zero_grad()
    loss.backward()
    gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad()
    told.backward()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, rtol=1e-4, atol=1e-7)


def test_held_out_pairs_are_the_same_each_time_and_summed_by_document(tiny_bert, tmp_path):
    tokenizer, task = load_tokenizer(tiny_bert), next_sentence_prediction()
    base = find_base(str(tiny_bert), None, tmp_path)
    model = attach(base, task, seed=1, max_length=24).eval()
    rows = rows_of(TEXTS * 4)
    told = [task.examples(rows, COLUMNS, tokenizer, 24) for _ in range(2)]
    assert [one.tolist() for one in told[0].ids] == [one.tolist() for one in told[1].ids]
    with torch.no_grad():
        outputs = task.outputs(forward_of(model), told[0].batch(np.arange(16)), told[0])
    totals = task.tally(outputs, rows, COLUMNS).sum(axis=0)
    labels = told[0].pairs
    assert totals[5] == (labels != IGNORED).sum() and (labels == OTHER).any()
    assert 0 <= task.scores(totals)["pair_accuracy", ""] <= 1
    assert outputs[2][5] == 0 and outputs[2][1] > 0  # the document of one sentence
    nats = totals[0] / totals[1] + totals[4] / totals[5]
    assert task.mean_loss(outputs, rows, COLUMNS) == pytest.approx(nats, rel=1e-6)


def test_a_single_text_is_told_its_perplexity(tiny_bert):
    tokenizer, task = load_tokenizer(tiny_bert), next_sentence_prediction()
    examples = task.examples(rows_of([""]), COLUMNS, tokenizer, 24)
    assert examples.batch(np.arange(1)).inputs["input_ids"].shape == (1, 2)
    examples = task.examples(rows_of(TEXTS[:1]), COLUMNS, tokenizer, 24)
    assert set(examples.pairs.tolist()) <= {FOLLOWS, IGNORED}


def test_of_one_document_no_other_segment_can_be_drawn(tiny_bert, tmp_path):
    tokenizer = load_tokenizer(tiny_bert)
    with pytest.raises(DataError, match="all texts to learn from are one document"):
        next_sentence_prediction().encoded([rows_of(TEXTS[:1])], COLUMNS, tokenizer, 24, tmp_path / "next")
    sentence_order_prediction().encoded([rows_of(TEXTS[:1])], COLUMNS, tokenizer, 24, tmp_path / "order")


def test_a_tokenizer_that_puts_nothing_between_two_texts_is_refused():
    from charter.models.tokenizers import characters

    with pytest.raises(ModelError, match="nothing between two texts"):
        PairFrame.of(characters(size=80).learn(lambda: TEXTS, True), 32)


def test_what_a_base_has_of_the_two_heads_goes_on(tiny_bert, tmp_path):
    from transformers import BertForMaskedLM

    tokenizer = load_tokenizer(tiny_bert)
    torch.manual_seed(4)
    saved = BertForMaskedLM.from_pretrained(tiny_bert)
    torch.nn.init.normal_(saved.cls.predictions.bias)
    save_model(saved, tokenizer, tmp_path / "words")
    both = attach(
        find_base(str(tmp_path / "words"), None, tmp_path), next_sentence_prediction(), seed=9, max_length=32
    )
    torch.testing.assert_close(both.cls.predictions.bias, saved.cls.predictions.bias)
    save_model(both, tokenizer, tmp_path / "both")
    base = find_base(str(tmp_path / "both"), None, tmp_path)
    again = attach(base, next_sentence_prediction(), seed=1, max_length=32)
    torch.testing.assert_close(again.state_dict(), both.state_dict())
    words = attach(base, MaskedLanguageModelling(), seed=1, max_length=32)
    torch.testing.assert_close(words.cls.predictions.bias, saved.cls.predictions.bias)


@pytest.mark.parametrize("kind", PAIRED)
def test_every_type_that_is_told_to_read_pairs_has_both_heads(tiny_bert, tmp_path, kind):
    tokenizer, task = load_tokenizer(tiny_bert), next_sentence_prediction()
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 32}
    narrow = {
        "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16},
        "albert": {"embedding_size": 16},
    }
    asked = Use.model_validate({"use": kind, **sizes, **narrow.get(kind, {})})
    new_base(asked, tokenizer, tmp_path / kind, max_length=32, seed=1)
    model = attach(find_base(str(tmp_path / kind), None, tmp_path), task, seed=1, max_length=32).eval()
    examples = task.examples(rows_of(TEXTS), COLUMNS, tokenizer, 32)
    with torch.no_grad():
        outputs = task.outputs(forward_of(model), examples.batch(np.arange(4)), examples)
    totals = task.tally(outputs, rows_of(TEXTS), COLUMNS).sum(axis=0)
    assert np.isfinite(totals).all() and totals[5] == (examples.pairs != IGNORED).sum() > 1
