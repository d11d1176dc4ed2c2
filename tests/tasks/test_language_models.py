"""Language models: what is hidden, how documents are cut, and that losses and gradients are those of transformers."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.data.batch import IGNORED
from charter.data.columns import ROW, Columns
from charter.data.pieces import Frame, Pieces, documents_encoded, run_on
from charter.errors import ModelError
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.forward import forward_of
from charter.privacy.plan import plain
from charter.tasks.causal_language_modelling import CausalLanguageModelling
from charter.tasks.masked_language_modelling import MaskedLanguageModelling
from charter.tasks.masking import Masking, masking_of, within_words
from charter.training.loop import train

COLUMNS = Columns(inputs={"text": "text"})
TEXTS = [
    "the room was very clean and the crew was kind",
    "rude staff",
    "酒店房间很好服务很差",
    "we found the desk slow and the queue cold today " * 5,
    "lovely meal",
]


def rows_of(texts):
    return pl.DataFrame({ROW: range(1, len(texts) + 1), "text": texts})


def masking(probability=0.15, seed=None, size=200):
    special = np.zeros(size, dtype=bool)
    special[:5] = True
    return Masking(4, np.arange(5, size), special, None, probability, seed)


@settings(deadline=None)
@given(st.integers(1, 300), st.floats(0.01, 0.9), st.integers(0, 9))
def test_the_share_asked_for_is_hidden_and_never_a_special_token(length, probability, place):
    ids = np.r_[2, np.random.default_rng(length).integers(5, 200, length), 3]
    hidden = masking(probability, seed=1)([ids], [place])
    chosen = hidden.targets[0] != IGNORED
    assert chosen.sum() == max(1, round(probability * length))
    assert not chosen[0] and not chosen[-1]
    assert (hidden.targets[0][chosen] == ids[chosen]).all()
    assert (hidden.ids[0][~chosen] == ids[~chosen]).all()


def test_of_what_is_hidden_eight_tenths_are_masked_one_is_random_and_one_stays():
    torch.manual_seed(0)
    ids = np.random.default_rng(0).integers(5, 200, 2000)
    shares = np.zeros(3)
    for _ in range(20):
        hidden = masking()([ids], [0])
        chosen = hidden.targets[0] != IGNORED
        told = hidden.ids[0][chosen]
        shares += [
            (told == 4).mean(),
            ((told != 4) & (told != ids[chosen])).mean(),
            (told == ids[chosen]).mean(),
        ]
    np.testing.assert_allclose(shares / 20, [0.8, 0.1, 0.1], atol=0.015)


def test_what_is_hidden_to_judge_by_is_always_the_same_and_in_training_never():
    ids = np.arange(5, 105)
    fixed, drawn = masking(seed=3), masking()
    assert (fixed([ids], [7]).targets[0] == fixed([ids], [8]).targets[0]).all()
    assert (fixed([ids], [7]).targets[0][1:] != fixed([ids[1:]], [7]).targets[0]).any()
    torch.manual_seed(5)
    first, second = drawn([ids], [7]), drawn([ids], [7])
    assert (first.targets[0] != second.targets[0]).any()
    torch.manual_seed(5)
    assert (drawn([ids], [7]).targets[0] == first.targets[0]).all()


def test_whole_words_are_hidden_with_all_their_pieces(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    one = masking_of(tokenizer, probability=0.5, whole_words=True, seed=0)
    ids = np.asarray(tokenizer("the zq the xy the jk the wv")["input_ids"])
    continues = one.continues[ids]
    assert continues.any()
    for place in range(30):
        chosen = one([ids], [place]).targets[0] != IGNORED
        words = np.split(chosen, np.flatnonzero(~continues)[1:])
        assert sum(0 < word.mean() < 1 for word in words) <= 1  # what is left over to reach the share


@given(st.lists(st.integers(5, 99), max_size=60), st.integers(2, 20))
def test_of_a_decoders_document_each_token_is_foretold_once(ids, length):
    pieces = list(run_on(np.asarray(ids, dtype=np.int64), 1, length))
    assert all(len(piece) <= length for piece in pieces)
    assert [token for piece in pieces for token in piece[1:].tolist()] == [*ids, 1]
    assert [piece[0] for piece in pieces] == [1, *(piece[-1] for piece in pieces[:-1])]


def test_pieces_hold_all_of_a_document_and_nothing_of_another(tiny_bert, tmp_path):
    tokenizer, task = load_tokenizer(tiny_bert), MaskedLanguageModelling()
    rows = rows_of(TEXTS)
    examples = task.encoded(rows.iter_slices(2), COLUMNS, tokenizer, 16, tmp_path / "pieces")
    frame = Frame.of(tokenizer, 16)
    for row, text in zip(rows[ROW], TEXTS, strict=True):
        own = [examples.ids[at] for at in np.flatnonzero(examples.rows == row)]
        assert all(
            piece[0] == tokenizer.cls_token_id and piece[-1] == tokenizer.sep_token_id for piece in own
        )
        inner = np.concatenate([piece[1:-1] for piece in own])
        assert inner.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
        assert max(map(len, own)) <= 16 and all(len(piece) == 16 for piece in own[:-1])
    assert examples.lengths.tolist() == [len(one) for one in examples.ids]
    assert frame.room == 14


def test_pieces_are_found_again_and_half_written_ones_are_not(tiny_bert, tmp_path):
    tokenizer, task = load_tokenizer(tiny_bert), MaskedLanguageModelling()
    first = task.encoded([rows_of(TEXTS)], COLUMNS, tokenizer, 16, tmp_path)
    again = task.encoded([], COLUMNS, tokenizer, 16, tmp_path)
    assert [one.tolist() for one in again.ids] == [one.tolist() for one in first.ids]
    (tmp_path / "pieces.json").unlink()  # it is written last
    anew = task.encoded([rows_of(TEXTS[:1])], COLUMNS, tokenizer, 16, tmp_path)
    assert set(anew.rows.tolist()) == {1}


def test_an_update_is_that_of_the_mean_over_all_hidden_tokens(tiny_bert, tmp_path):
    """As transformers computes it from the same hidden tokens, whatever the lengths of the sequences and the micro-batches."""
    tokenizer, task = load_tokenizer(tiny_bert), MaskedLanguageModelling(probability=0.3)
    base = find_base(str(tiny_bert), None, tmp_path)
    examples = task.encoded([rows_of(TEXTS)], COLUMNS, tokenizer, 32, tmp_path / "pieces")
    model = attach(base, task, seed=1, max_length=32).double().eval()
    for module in model.modules():  # no dropout, so that the two can be compared
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    plan = plain(batch_size=len(examples), micro_batch_size=2, max_grad_norm=None, seed=0)

    class Kept:
        rates = ()

        def begin(self, *_):
            return []

        def zero_grad(self):
            model.zero_grad()

        def step(self):
            pass

    drawn = []
    hide = examples.hiding

    def watched(sequences, places):
        drawn.append(hide(sequences, places))
        return drawn[-1]

    told = next(
        train(
            model,
            task,
            replace(examples, hiding=watched),
            plan,
            optimizer=Kept(),
            learning_rate=lambda _: 0.0,
            steps=1,
            seed=3,
        )
    )
    ours = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    ids = [torch.as_tensor(one) for hidden in drawn for one in hidden.ids]
    labels = [torch.as_tensor(one) for hidden in drawn for one in hidden.targets]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_token_id)
    wanted = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(one)) for one in ids], batch_first=True).long()
    model.zero_grad()
    loss = model(input_ids=padded, attention_mask=mask, labels=wanted).loss
    loss.backward()
    assert told.loss == pytest.approx(float(loss.detach()), rel=1e-6)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, dict(model.named_parameters())[name].grad, rtol=1e-5, atol=1e-8)


def gpt(tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(2)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=32, **ids)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def letters():
    from charter.models.tokenizers import characters

    return characters(size=80).learn(lambda: TEXTS, True)


def test_the_surprise_of_a_document_is_transformers_own(letters):
    model = gpt(letters)
    task, text = CausalLanguageModelling(), TEXTS[0][:20]
    rows = rows_of([text, TEXTS[1]])
    examples = task.examples(rows, COLUMNS, letters, 32)
    with torch.no_grad():
        told = task.outputs(forward_of(model), examples.batch(np.arange(2)), examples)
    end = letters.eos_token_id
    ids = torch.as_tensor([[end, *letters(text)["input_ids"], end]])
    with torch.no_grad():
        loss = float(model(input_ids=ids, labels=ids).loss)
    assert told[0][1] == ids.shape[1] - 1
    assert told[0][0] == pytest.approx(loss * (ids.shape[1] - 1), rel=1e-5)


def test_perplexity_and_bits_of_long_documents_are_those_of_transformers_losses(letters):
    """Each piece is read by itself; the loss of all of them is that of their tokens, not the mean of their losses."""
    model, task, length = gpt(letters), CausalLanguageModelling(), 16
    rows = rows_of(TEXTS)
    examples = task.examples(rows, COLUMNS, letters, length)
    with torch.no_grad():
        outputs = task.outputs(forward_of(model), examples.batch(np.arange(len(TEXTS))), examples)
    scores = task.scores(task.tally(outputs, rows, COLUMNS).sum(axis=0))
    nats, count = 0.0, 0
    for text in TEXTS:
        ids = [letters.eos_token_id, *letters(text)["input_ids"], letters.eos_token_id]
        for start in range(0, len(ids) - 1, length - 1):
            piece = torch.as_tensor([ids[start : start + length]])
            with torch.no_grad():
                loss = model(input_ids=piece, labels=piece).loss
            nats, count = nats + float(loss) * (piece.shape[1] - 1), count + piece.shape[1] - 1
    assert count > 250 and len(examples.ids) > len(TEXTS)
    assert float(scores["perplexity", ""]) == pytest.approx(np.exp(nats / count), rel=1e-5)
    size = sum(len(text.encode()) for text in TEXTS)
    assert float(scores["bits_per_byte", ""]) == pytest.approx(nats / np.log(2) / size, rel=1e-5)
    assert "pieces of at most 16 tokens" in task.reading(length)


def test_the_surprise_of_hidden_tokens_is_transformers_own(tiny_bert):
    from transformers import BertForMaskedLM

    tokenizer, task = load_tokenizer(tiny_bert), MaskedLanguageModelling(probability=0.3)
    torch.manual_seed(4)
    model = BertForMaskedLM.from_pretrained(tiny_bert).eval()
    examples = task.examples(rows_of(TEXTS), COLUMNS, tokenizer, 24)
    batch = examples.batch(np.arange(len(TEXTS)))
    with torch.no_grad():
        told = task.outputs(forward_of(model), batch, examples)
        loss = float(model(**batch.inputs, labels=batch.targets).loss)  # transformers' -100 is our IGNORED
    nats, count = (sum(float(one[at]) for one in told) for at in (0, 1))
    assert count == int((batch.targets != IGNORED).sum()) and nats / count == pytest.approx(loss, rel=1e-5)


def test_perplexity_and_bits_are_of_the_sums(letters):
    task = CausalLanguageModelling()
    outputs = [np.asarray([8 * np.log(4), 8, 2, 0], dtype=np.float32)] * 2
    rows = rows_of(["四个字了", "abcd"])
    totals = task.tally(outputs, rows, COLUMNS).sum(axis=0)
    scores = task.scores(totals)
    assert float(scores["perplexity", ""]) == pytest.approx(4, rel=1e-6)
    assert float(scores["bits_per_byte", ""]) == pytest.approx(16 * 2 / 16, rel=1e-6)
    assert float(scores["token_accuracy", ""]) == 0.25


def test_a_long_document_is_judged_piece_by_piece_and_as_a_whole(tiny_bert):
    tokenizer, task = load_tokenizer(tiny_bert), MaskedLanguageModelling()
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    model = BertForMaskedLM(config).eval()
    long = "the room was clean today " * 150
    examples = task.examples(rows_of([long, "rude staff"]), COLUMNS, tokenizer, 16)
    assert examples.sizes[0] > 40  # more than is judged at once
    with torch.no_grad():
        whole = task.outputs(forward_of(model), examples.batch(np.arange(2)), examples)
        alone = task.outputs(forward_of(model), examples.batch(np.asarray([1])), examples)
    np.testing.assert_allclose(whole[1], alone[0], rtol=1e-5)
    assert whole[0][1] == pytest.approx(0.15 * 150 * 5, abs=int(examples.sizes[0]))


def test_the_tokenizer_must_be_one_of_the_kind(tiny_bert, letters):
    with pytest.raises(ModelError, match="no mask token"):
        masking_of(letters, probability=0.15, whole_words=False, seed=None)
    with pytest.raises(ModelError, match="no end-of-text token"):
        CausalLanguageModelling().cut(load_tokenizer(tiny_bert), 16)


def test_what_only_looks_like_a_special_token_is_text(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    (ids,) = documents_encoded(["the [SEP] room [MASK]"], tokenizer)
    assert not set(ids.tolist()) & {tokenizer.sep_token_id, tokenizer.mask_token_id}
    assert tokenizer("[MASK]", add_special_tokens=False)["input_ids"] == [tokenizer.mask_token_id]


def test_words_of_scripts_without_spaces_are_never_added_and_byte_pairs_never_broken(tiny_bert, letters):
    from charter.models.tokenizers import extended, new_words

    tokenizer = load_tokenizer(tiny_bert)
    assert new_words(["请问游泳池几点开放 zonal"] * 20, tokenizer, size=9, least=2) == ["zonal"]
    with pytest.raises(ModelError, match="it is for WordPiece"):
        extended().extend(TEXTS, None, letters)


def test_pieces_survive_being_sent_to_another_process(tiny_bert, tmp_path):
    import pickle

    tokenizer, task = load_tokenizer(tiny_bert), MaskedLanguageModelling()
    pieces = task.encoded([rows_of(TEXTS)], COLUMNS, tokenizer, 16, tmp_path).ids
    assert isinstance(pieces, Pieces)
    sent = pickle.loads(pickle.dumps(pieces))
    assert [one.tolist() for one in sent] == [one.tolist() for one in pieces]


def test_a_language_models_own_head_goes_on_also_with_words_added(tiny_bert, tmp_path):
    from transformers import BertForMaskedLM

    from charter.models.base import load_base
    from charter.models.exports import save_model
    from charter.models.tokenizers import add_words

    tokenizer = load_tokenizer(tiny_bert)
    torch.manual_seed(4)
    saved = BertForMaskedLM.from_pretrained(tiny_bert)
    torch.nn.init.normal_(saved.cls.predictions.bias)
    save_model(saved, tokenizer, tmp_path / "saved")
    base = find_base(str(tmp_path / "saved"), None, tmp_path)
    heads = [attach(base, MaskedLanguageModelling(), seed=9, max_length=32).cls.state_dict()]
    extended = load_base(base)
    add_words(extended, tokenizer, ["zonal"])
    heads.append(extended.cls.state_dict())
    for head in heads:
        for name, weight in saved.cls.state_dict().items():
            torch.testing.assert_close(head[name][: len(weight)], weight)
    assert heads[1]["predictions.decoder.weight"].shape[0] == len(tokenizer)


CHINESE = "酒店很好，房间干净；服务态度不好 the room 一二三"


def test_words_of_chinese_are_hidden_whole_beside_those_of_other_scripts(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    ids = np.asarray(tokenizer(CHINESE + " zq")["input_ids"])
    one = masking_of(tokenizer, probability=0.4, whole_words="chinese", seed=0)
    tokens = tokenizer.convert_ids_to_tokens(ids)
    begins = ~one.continues[ids] & ~within_words(one.signs[ids], np.diff(np.arange(len(ids)), prepend=-2) > 1)
    words = ["".join(part) for part in np.split(tokens, np.flatnonzero(begins)[1:])]
    assert {"酒店", "房间", "干净", "服务态度", "the", "room", "z##q"} <= set(words)
    halves = set()
    for seed in range(60):
        chosen = replace(one, seed=seed)([ids], [0]).targets[0] != IGNORED
        assert chosen.sum() == round(0.4 * (len(ids) - 2))
        parts = [part.mean() for part in np.split(chosen, np.flatnonzero(begins)[1:])]
        halves.add(sum(0 < part < 1 for part in parts))
    assert max(halves) <= 1  # what is left over to reach the share


def test_a_text_without_chinese_is_hidden_by_its_own_words_where_chinese_is_asked_for():
    signs = np.asarray(["", "", ""])
    assert within_words(signs, np.zeros(3, dtype=bool)).tolist() == [False, False, False]
    assert within_words(signs[:0], np.zeros(0, dtype=bool)).tolist() == []


def test_each_character_is_a_word_unless_chinese_is_asked_for(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    ids = np.asarray(tokenizer("酒店房间干净")["input_ids"])
    one = masking_of(tokenizer, probability=0.3, whole_words=True, seed=0)
    assert not one.continues[ids].any() and one.signs is None
    alone = [replace(one, seed=seed)([ids], [0]).targets[0] != IGNORED for seed in range(40)]
    assert any(chosen[1] != chosen[2] for chosen in alone)


def test_words_of_chinese_need_a_tokenizer_of_characters(letters):
    from charter.models.tokenizers import bpe

    with pytest.raises(ModelError, match="whole_words: chinese is for a WordPiece tokenizer"):
        masking_of(
            bpe(size=300).learn(lambda: TEXTS, False), probability=0.15, whole_words="chinese", seed=None
        )
