"""Few examples: heads that start from descriptions, and the contrastive objective."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from charter import plugins
from charter.data.batch import joined
from charter.data.columns import ROW, Columns
from charter.errors import DataError
from charter.models.adapters import adapted
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.features import features_of
from charter.models.inference import predict_outputs
from charter.pipeline.learning import described_examples
from charter.privacy.plan import plain
from charter.spec.training import Training
from charter.tasks import restore
from charter.tasks.classification import classification, text_pair_classification
from charter.training.contrastive import NEVER, contrastive
from charter.training.fit_state import Validation
from charter.training.fitting import fit

COLUMNS = Columns(inputs={"text": "text"}, target="label")
WORDS = {"good": ["great", "lovely", "kind", "warm"], "bad": ["awful", "rude", "cold", "dirty"]}
DESCRIBED = {"good": "great lovely kind warm", "bad": "awful rude cold dirty"}


def rows_of(count, labels=("good", "bad"), seed=0):
    """Texts of which every class has words of its own."""
    rng = np.random.default_rng(seed)
    classes = [labels[number % len(labels)] for number in range(count)]
    texts = [f"the {' '.join(rng.choice(WORDS[one], 2))} room was it" for one in classes]
    return pl.DataFrame({ROW: range(count), "text": texts, "label": classes})


def base_of(tiny_bert):
    return find_base(str(tiny_bert), None, tiny_bert.parent)


def learned(tiny_bert, folder, rows, task, objective=None, validation=None, adapter="full", **training):
    """Fit the tiny BERT to some rows, from the descriptions where the task has them."""
    base, settings = (
        base_of(tiny_bert),
        Training.model_validate({"batch_size": 8, "learning_rate": 2e-3} | training),
    )
    tokenizer = load_tokenizer(base.folder)
    examples = task.examples(rows, COLUMNS, tokenizer, 16)
    described = described_examples(task, tokenizer, 16)
    if objective is not None and described is not None:
        examples = joined(examples, described)
    model = adapted(
        base,
        task,
        plugins.make("adapter", adapter, {}),
        seed=7,
        max_length=16,
        mean_pooled=objective is not None,
    )
    plan = plain(batch_size=8, micro_batch_size=None, max_grad_norm=1.0, seed=7)
    work = {"work": folder / "work", "logs": folder / "logs", "objective": objective}
    return fit(model, task, examples, validation, settings, plan, **work)


def answers(model, task, rows, tiny_bert):
    examples = task.examples(rows, COLUMNS, load_tokenizer(tiny_bert), 16, with_targets=False)
    return np.asarray(predict_outputs(model, task, examples))


def right(model, task, rows, tiny_bert):
    best = answers(model, task, rows, tiny_bert).argmax(1)
    return float(np.mean([task.labels[one] == label for one, label in zip(best, rows["label"], strict=True)]))


def test_without_any_update_the_model_is_the_nearest_description_by_the_mean_over_the_tokens(tiny_bert):
    from transformers import AutoModel

    rows, task = rows_of(40), classification(descriptions=DESCRIBED).fit(rows_of(2), COLUMNS)
    said = answers(attach(base_of(tiny_bert), task, seed=7, max_length=16), task, rows, tiny_bert)
    tokenizer, trunk = load_tokenizer(tiny_bert), AutoModel.from_pretrained(tiny_bert).eval()

    def vectors(texts):
        read = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            states, mask = trunk(**read).last_hidden_state, read["attention_mask"][..., None]
        mean = (states * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean - mean.mean(1, keepdim=True), dim=1)

    similar = vectors(rows["text"].to_list()) @ vectors([DESCRIBED[label] for label in task.labels]).T
    np.testing.assert_allclose(said / 20, similar.numpy(), atol=0.01)


def test_the_contrastive_objective_learns_from_few_rows_what_chance_does_not_know(tiny_bert, tmp_path):
    few, many = rows_of(12), rows_of(80, seed=3)
    task = classification().fit(few, COLUMNS)
    found = learned(tiny_bert, tmp_path, few, task, contrastive(), epochs=12)
    assert right(found.model, task, many, tiny_bert) > 0.9


def test_a_class_without_rows_is_answered_when_it_is_described(tiny_bert, tmp_path):
    few = rows_of(12, labels=("good",))
    task = classification(descriptions=DESCRIBED).fit(few, COLUMNS)
    found = learned(tiny_bert, tmp_path, few, task, contrastive(), epochs=8)
    texts = ["rude awful dirty cold", "dirty rude cold", *few["text"].to_list()]
    asked = pl.DataFrame({ROW: range(14), "text": texts, "label": ["bad"] * 2 + ["good"] * 12})
    assert right(found.model, task, asked, tiny_bert) == 1.0


def test_a_class_with_neither_rows_nor_description_is_never_answered(tiny_bert, tmp_path):
    task = classification().fit(rows_of(4), COLUMNS)
    found = learned(tiny_bert, tmp_path, rows_of(12, labels=("good",)), task, contrastive(), epochs=1)
    logits = answers(found.model, task, rows_of(20), tiny_bert)
    assert (logits[:, task.labels.index("good")] - logits[:, task.labels.index("bad")] >= -NEVER - 1e-4).all()


def test_without_an_epoch_the_contrastive_objective_fits_its_head_on_the_base_s_own_vectors(
    tiny_bert, tmp_path
):
    rows = rows_of(24)
    task = classification().fit(rows, COLUMNS)
    found = learned(tiny_bert, tmp_path, rows, task, contrastive(), epochs=0, adapter="head")
    untouched = attach(base_of(tiny_bert), task, seed=7, max_length=16, mean_pooled=True)
    examples = task.examples(rows, COLUMNS, load_tokenizer(tiny_bert), 16)
    np.testing.assert_array_equal(features_of(found.model, examples), features_of(untouched, examples))
    assert right(found.model, task, rows, tiny_bert) == 1.0
    assert [entry["step"] for entry in found.history] == [0]


def test_the_start_is_kept_where_no_update_does_better(tiny_bert, tmp_path):
    rows = rows_of(24)
    task = classification(descriptions=DESCRIBED).fit(rows, COLUMNS)
    examples = task.examples(rows, COLUMNS, load_tokenizer(tiny_bert), 16)
    validation = Validation(examples, rows, COLUMNS)
    found = learned(tiny_bert, tmp_path, rows, task, validation=validation, epochs=1, learning_rate=1e-12)
    assert found.best_step == 0
    assert [entry["step"] for entry in found.history if entry["kind"] == "evaluation"] == [0, 3]


def test_the_contrastive_loss_is_that_of_khosla_et_al_by_hand():
    vectors = torch.nn.functional.normalize(
        torch.randn(5, 8, generator=torch.Generator().manual_seed(1)), dim=1
    )
    vectors = vectors - vectors.mean(1, keepdim=True)
    targets = torch.tensor([0, 1, 0, 1, 2])
    unit = torch.nn.functional.normalize(vectors, dim=1)

    fed = SimpleNamespace(inputs={}, targets=targets)  # the third class has one text only
    said = contrastive(temperature=0.5).loss(lambda: SimpleNamespace(logits=vectors), fed)
    by_hand = []
    for one in range(4):
        others = [other for other in range(5) if other != one]
        below = torch.logsumexp(torch.stack([unit[one] @ unit[other] / 0.5 for other in others]), 0)
        partner = next(other for other in others if targets[other] == targets[one])
        by_hand.append(below - unit[one] @ unit[partner] / 0.5)
    torch.testing.assert_close(said.mean(), torch.stack(by_hand).mean())
    assert said[4] == 0


def test_a_class_that_is_not_described_is_named_and_so_is_what_is_described_instead():
    with pytest.raises(DataError, match="without a description: '很好'; described, and in no row: '好评'"):
        classification(descriptions={"好评": "客人很满意", "bad": "客人不满意"}).fit(
            pl.DataFrame({ROW: [0, 1], "text": ["a", "b"], "label": ["很好", "bad"]}), COLUMNS
        )


def test_a_described_task_is_restored_from_its_state():
    task = classification(descriptions={"差": "服务很差", "好": "服务很好"}).fit(
        pl.DataFrame({ROW: [0], "text": ["酒店"], "label": ["好"]}), COLUMNS
    )
    again = restore(task.state())
    assert again.labels == ("好", "差") == task.labels
    assert again.head == task.head
    assert again.head.descriptions == ("服务很好", "服务很差")


def test_pairs_learn_by_contrast_too(tiny_bert, tmp_path):
    rows = rows_of(16).with_columns(pl.col("text").alias("other"))
    columns = Columns(inputs={"text": "text", "other": "text"}, target="label")
    task = text_pair_classification().fit(rows, columns)
    examples = task.examples(rows, columns, load_tokenizer(tiny_bert), 24)
    model = adapted(
        base_of(tiny_bert),
        task,
        plugins.make("adapter", "lora", {}),
        seed=7,
        max_length=24,
        mean_pooled=True,
    )
    plan = plain(batch_size=8, micro_batch_size=None, max_grad_norm=1.0, seed=7)
    settings = Training(epochs=2, learning_rate=2e-3)
    found = fit(
        model, task, examples, None, settings, plan, work=tmp_path, logs=tmp_path, objective=contrastive()
    )
    said = np.asarray(predict_outputs(found.model, task, examples)).argmax(1)
    assert (said == examples.targets).mean() > 0.8


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_few
from charter.training import fitting

steps = iter(range(1, 100))
add = fitting._Session.add

def killed(self, step):
    add(self, step)
    self.save()
    if next(steps) == 4:
        os.kill(os.getpid(), signal.SIGKILL)

fitting._Session.add = killed
rows = test_few.rows_of(12)
task = test_few.classification(descriptions=test_few.DESCRIBED).fit(rows, test_few.COLUMNS)
test_few.learned(Path({bert!r}), Path({folder!r}), rows, task, test_few.contrastive(), epochs=4)
"""


def test_a_killed_fit_goes_on_to_the_weights_it_would_have_had(tiny_bert, tmp_path):
    rows = rows_of(12)
    task = classification(descriptions=DESCRIBED).fit(rows, COLUMNS)
    whole = learned(tiny_bert, tmp_path / "whole", rows, task, contrastive(), epochs=4)
    tests, cut = str(Path(__file__).parent), tmp_path / "cut"
    code = KILLED.format(tests=tests, bert=str(tiny_bert), folder=str(cut))
    died = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert died.returncode == -signal.SIGKILL
    resumed = learned(tiny_bert, cut, rows, task, contrastive(), epochs=4)
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], weight, rtol=1e-5, atol=1e-6, msg=name)
