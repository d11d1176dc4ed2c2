"""Vectors: searches are scored as scikit-learn and scipy score them, a run gives a bundle that searches, others read it."""

import json
import math

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn import metrics

from charter.cli import run_command
from charter.data.columns import ROW, Columns
from charter.errors import CharterError
from charter.models.base import load_tokenizer
from charter.pipeline import run
from charter.release.bundle import read_bundle
from charter.release.verification import verify
from charter.serving.answers import open_answerer
from charter.serving.search import build_index, embed, read_index
from charter.tasks import restore
from charter.tasks.retrieval import Corpus, bm25, ranked
from charter.tasks.sentence_embedding import SentenceEmbedding
from charter.tasks.sentence_similarity import SentenceSimilarity

PAIRS = Columns(inputs={"question": "text", "reply": "text"})
SCORED = Columns(inputs={"one": "text", "other": "text"}, target="score", form=SentenceSimilarity().form)


def test_an_example_costs_the_tokens_of_all_its_texts_and_is_padded_to_the_longest(tiny_bert):
    rows = pl.DataFrame(
        {ROW: [0, 1], "question": ["the room", "kind"], "reply": ["great", "the crew was kind"]}
    )
    examples = SentenceEmbedding().examples(rows, PAIRS, load_tokenizer(tiny_bert), 32)
    assert examples.lengths.tolist() == [4, 6]
    assert examples.tokens.tolist() == [4 + 3, 3 + 6]


def test_searches_are_scored_as_scikit_learn_scores_them():
    rng = np.random.default_rng(0)
    queries = [f"q{number // 3}" for number in range(60)]  # three right texts for each query
    positives = [f"t{number}" for number in range(60)]
    vectors = rng.normal(size=(2, 60, 8)).astype(np.float32)
    corpus = Corpus.of(queries, positives)
    found = ranked(vectors[0], vectors[1], corpus)
    scores = vectors[0] @ vectors[1].T
    truth = np.asarray([[one == other for other in queries] for one in queries])
    for row in range(60):
        assert found[row, 3] == pytest.approx(
            metrics.ndcg_score(truth[row : row + 1], scores[row : row + 1], k=10)
        )
        order = np.argsort(-scores[row])
        hits = truth[row][order]
        assert found[row, 1] == pytest.approx(hits[:10].sum() / 3)
        first = int(np.flatnonzero(hits)[0])
        assert found[row, 2] == pytest.approx(1 / (first + 1) if first < 10 else 0.0)
        assert found[row, 0] == pytest.approx(hits[0] / 3)


def test_equal_texts_stand_in_a_corpus_once_and_belong_to_all_their_queries():
    corpus = Corpus.of(["a", "b", "a"], ["x", "x", "y"], ["y", "z"])
    assert corpus.first.tolist() == [0, 2, 4]
    assert [one.tolist() for one in corpus.relevant] == [[0, 1], [0]]


def test_bm25_is_its_formula():
    texts = ["the room was warm", "the crew was rude and the room cold", "fine"]
    found = bm25(["warm room", "nothing"], texts)
    usual = (4 + 8 + 1) / 3
    warm = math.log(1 + (3 - 1 + 0.5) / 1.5)
    room = math.log(1 + (3 - 2 + 0.5) / 2.5)

    def part(length):
        return 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / usual))

    assert found[0] == pytest.approx([(warm + room) * part(4), room * part(8), 0.0], rel=1e-5)
    assert not found[1].any()


def scored_rows(n=200):
    rng = np.random.default_rng(3)
    score = rng.integers(0, 6, n).astype(float)
    angles = rng.normal(size=n) * 0.4 + (5 - score) / 4
    outputs = [np.asarray([[1, 0], [np.cos(one), np.sin(one)]], dtype=np.float32) for one in angles]
    rows = pl.DataFrame({ROW: np.arange(n), "one": ["a b"] * n, "other": ["c"] * n, "score": score})
    return SentenceSimilarity().fit(rows, SCORED), outputs, rows


def test_correlations_of_cosines_are_those_of_scipy():
    task, outputs, rows = scored_rows()
    cosines = [float(one[0] @ one[1]) for one in outputs]
    scores = task.scores(task.tally(outputs, rows, SCORED).sum(axis=0))
    assert scores["pearson", ""] == pytest.approx(stats.pearsonr(cosines, rows["score"]).statistic)
    ranks = task.ranking_scores(outputs, rows, SCORED, np.ones((1, rows.height)))
    assert ranks["spearman", ""][0] == pytest.approx(stats.spearmanr(cosines, rows["score"]).statistic)
    assert restore(task.state()) == task


def test_the_baseline_of_scored_pairs_says_the_cosine_of_tfidf():
    task, _, rows = scored_rows(20)
    pair = rows.with_columns(pl.Series("other", ["a b"] * 10 + ["zzz"] * 10), pl.Series("one", ["a b"] * 20))
    mean, cheap = task.baselines(rows, pair, SCORED, others=rows.clear(), seed=0)
    told = task.decode(cheap.outputs, pair, SCORED)["similarity"]
    assert told[:10].to_list() == pytest.approx([1.0] * 10, abs=1e-6) and max(told[10:]) < 0.1
    assert task.decode(mean.outputs, pair, SCORED)["similarity"].n_unique() == 1


def tiny_batch(tiny_bert, questions, replies):
    from transformers import AutoModel

    rows = pl.DataFrame({ROW: range(len(questions)), "question": questions, "reply": replies})
    examples = SentenceEmbedding().examples(rows, PAIRS, load_tokenizer(tiny_bert), 32)
    return AutoModel.from_pretrained(tiny_bert).eval(), examples.batch(np.arange(len(questions)))


def test_the_loss_is_the_cross_entropy_of_each_partner_among_those_of_the_batch(tiny_bert):
    import torch

    model, batch = tiny_batch(
        tiny_bert, ["warm room", "rude crew", "slow"], ["very warm", "rude again", "queue"]
    )
    with torch.inference_mode():
        states = model(**batch.inputs).last_hidden_state
        mask = batch.inputs["attention_mask"][..., None]
        mean = (states * mask).sum(1) / mask.sum(1)
        unit = mean / mean.norm(dim=1, keepdim=True)
        logits = unit[0::2] @ unit[1::2].T / 0.05
        loss = SentenceEmbedding().loss(model, batch)
    expected = -torch.log_softmax(logits, dim=1).diagonal()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_an_equal_partner_of_another_text_is_no_negative(tiny_bert):
    import torch

    model, batch = tiny_batch(tiny_bert, ["warm room", "rude crew"], ["very warm", "very warm"])
    with torch.inference_mode():
        assert SentenceEmbedding().loss(model, batch).abs().max() < 1e-6


CHARTER = """\
name: near
data:
  source: {file}
  inputs: {inputs}
{target}  prepare: [{{use: mask_pii}}]
  split: {{test: 0.3, validation: 0.1, similarity: 0.99}}
model: {{base: "{base}", max_length: 32{adapt}}}
task: {{use: {task}}}
training: {{epochs: 2, batch_size: 16, learning_rate: 1.0e-3}}
audits: [{{use: performance, resamples: 100, minimum_n: 5}}]
limits: [{limit}]
release: {{formats: {formats}}}
"""
TOPICS = ["room", "crew", "flight", "meal", "desk", "seat", "phone", "queue", "hotel", "staff"]
SAID = [
    "great",
    "lovely",
    "kind",
    "warm",
    "clean",
    "quick",
    "awful",
    "rude",
    "cold",
    "dirty",
    "slow",
    "broken",
]


@pytest.fixture(scope="module")
def released(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    lines = ["question,reply"]
    lines += [f"was the {topic} {said} {n},we found the {topic} {said} again {n}"
              for n, (topic, said) in enumerate((t, s) for t in TOPICS for s in SAID)]  # fmt: skip
    (folder / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    text = CHARTER.format(
        file="pairs.csv", inputs="{question: text, reply: text}", target="", base=tiny_bert, adapt="",
        task="sentence_embedding", limit="ndcg_at_10 >= 0.0", formats="[safetensors, onnx]",
    )  # fmt: skip
    (folder / "charter.yaml").write_text(text, encoding="utf-8")
    return run(folder / "charter.yaml")


def test_a_run_on_pairs_ends_in_a_bundle_with_its_proof(released):
    assert released.released and verify(released.bundle, None).ok
    measured = {one.metric for one in released.record.findings if one.value is not None}
    assert {"ndcg_at_10", "mrr_at_10", "recall_at_1", "recall_at_10", "headline_gain"} <= measured
    page = released.report.read_text(encoding="utf-8")
    assert "nDCG at 10" in page and "BM25" in page
    (rows,) = {one.n for one in released.record.findings if one.metric == "recall_at_1" and not one.slice}
    assert f"Each text was searched for among {rows}" in page


def test_sentence_transformers_and_plain_transformers_give_the_same_vectors(released):
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = ["was the room warm", "very rude crew again and again we found"]
    ours = embed(open_answerer(read_bundle(released.bundle)), texts)
    tokenizer, model = (
        AutoTokenizer.from_pretrained(released.bundle),
        AutoModel.from_pretrained(released.bundle),
    )
    read = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states, mask = model.eval()(**read).last_hidden_state, read.attention_mask[..., None]
    mean = (states * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(ours, (mean / mean.norm(dim=1, keepdim=True)).numpy(), atol=1e-5)
    library = pytest.importorskip("sentence_transformers")
    theirs = library.SentenceTransformer(str(released.bundle), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_graph_gives_the_same_vectors(released):
    bundle, texts = read_bundle(released.bundle), ["was the room warm", "very rude crew again"]
    ours, graph = (embed(open_answerer(bundle, engine=name), texts) for name in ("safetensors", "onnx"))
    np.testing.assert_allclose(ours, graph, atol=1e-4)


def test_an_index_finds_what_an_exhaustive_search_finds_and_survives_its_folder(released, tmp_path):
    answerer = open_answerer(read_bundle(released.bundle))
    texts = [f"the {topic} was {said}" for topic in TOPICS for said in SAID]
    rows = pl.DataFrame({ROW: range(len(texts)), "_place": texts, "text": texts})
    index = build_index(answerer, rows)
    index.save(tmp_path / "index")
    again = read_index(tmp_path / "index")
    query = "was the meal cold"
    found = again.search(answerer, [query], most=5)[0]
    scores = embed(answerer, texts) @ embed(answerer, [query])[0]
    assert [one.text for one in found] == [texts[at] for at in np.argsort(-scores, kind="stable")[:5]]
    (tmp_path / "index" / "vectors.npy").write_bytes(b"x")
    with pytest.raises(CharterError, match="damaged"):
        read_index(tmp_path / "index")


def test_search_and_predict_answer_on_the_command_line(released, tmp_path, capsys):
    corpus = tmp_path / "corpus.csv"
    corpus.write_text("body\nthe meal was cold\nthe crew was kind\n  \n", encoding="utf-8")
    asked = ["search", str(released.bundle), "--query", "was the meal cold", "--json"]
    assert (
        run_command([*asked, "--corpus", str(corpus), "--column", "body", "--index", str(tmp_path / "i")])
        == 0
    )
    first = json.loads(capsys.readouterr().out)
    assert {one["text"] for one in first["found"]} == {"the meal was cold", "the crew was kind"}
    assert run_command([*asked, "--index", str(tmp_path / "i")]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert run_command(asked) == 2
    capsys.readouterr()
    assert run_command(["predict", str(released.bundle), "--text", "the meal was cold", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["embedding"]) == 32


def test_a_run_on_scored_pairs_learns_by_lora_and_tells_similarities(tiny_bert, tmp_path):
    rng = np.random.default_rng(1)
    lines = ["one,other,score"]
    for n in range(100):
        topic, other = rng.choice(TOPICS, 2)
        same = n % 2
        lines.append(
            f"the {topic} {n} was {rng.choice(SAID)},my {topic if same else other} {rng.choice(SAID)},{same * 4 + 1}"
        )
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    text = CHARTER.format(
        file="pairs.csv", inputs="{one: text, other: text}", target="  target: score\n", base=tiny_bert,
        adapt=", adapt: {use: lora, rank: 2}", task="sentence_similarity", limit="spearman >= -1", formats="[safetensors]",
    )  # fmt: skip
    (tmp_path / "charter.yaml").write_text(text.replace("epochs: 2", "epochs: 1"), encoding="utf-8")
    result = run(tmp_path / "charter.yaml", draft=True)
    assert verify(result.bundle, None).ok
    answerer = open_answerer(read_bundle(result.bundle, allow_refused=True))
    told = answerer.answer_texts([{"one": "the room was warm", "other": "the room was warm"}])
    assert told["similarity"][0] == pytest.approx(1.0, abs=1e-5)
    (over_mean,) = (
        one for one in result.record.findings
        if one.metric == "headline_gain" and one.slice == {"baseline": "training_mean"}
    )  # fmt: skip
    assert over_mean.value is None and "nothing to gain over" in over_mean.because
    page = result.report.read_text(encoding="utf-8")
    assert "what the target is like" in page and "share of each class" not in page
