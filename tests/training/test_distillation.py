"""Distillation: the loss is that of the papers, by hand; a student comes nearer to its teacher; a stop changes nothing."""

import os
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from scipy.special import expit, log_softmax, softmax

from charter import plugins
from charter.data.columns import ROW, Columns
from charter.models.adapters import adapted, full, lora
from charter.models.base import find_base, load_tokenizer
from charter.models.forward import forward_of
from charter.models.inference import predict_outputs
from charter.privacy.plan import plain
from charter.spec.training import Training
from charter.training.distillation import PROJECTION, Distillation, Teaching
from charter.training.fitting import fit

WORDS = ["great", "rude", "room", "crew", "the", "was", "very", "clean", "cold", "kind"]


def rows(count=64, seed=0):
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 12))) for _ in range(count)]
    labels = [["bad", "good", "mixed"][("great" in one) + ("clean" in one)] for one in texts]
    tags = [[one for one in ("great", "cold") if one in text] for text in texts]
    numbers = [float(len(one)) for one in texts]
    return pl.DataFrame({ROW: range(count), "text": texts, "label": labels, "tags": tags, "number": numbers})


def learned_task(use, target, frame):
    made = plugins.make("task", use, {})
    columns = Columns(inputs={"text": "text"}, target=target, form=made.form)
    return made.fit(frame, columns), columns


def log_expit(x):
    return -np.logaddexp(0, -x)


T, WEIGHT = 3.0, 0.7


def by_hand(use, task, logits, answers, targets):
    """(1 - weight) own + weight T² KL, in numpy (Hinton et al. 2015, section 2)."""
    if use == "classification":
        own = -log_softmax(logits, axis=1)[np.arange(len(targets)), targets]
        p = softmax(answers / T, axis=1)
        soft = (p * (log_softmax(answers / T, axis=1) - log_softmax(logits / T, axis=1))).sum(axis=1)
    elif use == "multi_label_classification":
        own = -(targets * log_expit(logits) + (1 - targets) * log_expit(-logits)).mean(axis=1)
        p = expit(answers / T)
        each = p * (log_expit(answers / T) - log_expit(logits / T))
        each += (1 - p) * (log_expit(-answers / T) - log_expit(-logits / T))
        soft = each.mean(axis=1)
    else:
        own = (logits[:, 0] - targets) ** 2
        return (1 - WEIGHT) * own + WEIGHT * (logits[:, 0] - (answers[:, 0] - task.mean) / task.scale) ** 2
    return (1 - WEIGHT) * own + WEIGHT * T**2 * soft


@pytest.mark.parametrize(
    ("use", "target"),
    [("classification", "label"), ("multi_label_classification", "tags"), ("regression", "number")],
)
def test_the_loss_is_that_of_hinton_et_al_by_hand(tiny_bert, use, target):
    frame = rows()
    task, columns = learned_task(use, target, frame)
    base = find_base(str(tiny_bert), None, Path())
    examples = task.examples(frame, columns, load_tokenizer(base.folder), 16)
    model = adapted(base, task, full(), seed=7, max_length=16).eval()
    answers = np.random.default_rng(1).normal(3, 4, (len(frame), len(task.head.outputs))).astype(np.float32)
    objective = Distillation(task, Teaching(answers), T, WEIGHT)
    batch = examples.batch(np.arange(5, 25))
    with torch.no_grad():
        said = objective.loss(forward_of(model), batch).numpy()
        logits = model(**batch.inputs).logits.double().numpy()
    wanted = by_hand(use, task, logits, answers[5:25].astype(np.float64), batch.targets.numpy())
    assert said == pytest.approx(wanted, rel=1e-4)


def teacher_folder(tiny_bert, folder, *, width=48, layers=4, names=("mixed", "good", "bad")):
    """A larger BERT with a head of the same classes in another order, drawn at random with large logits."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        config = transformers.BertConfig.from_pretrained(
            tiny_bert,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=96,
            id2label=dict(enumerate(names)),
            label2id={name: number for number, name in enumerate(names)},
        )
        model = transformers.BertForSequenceClassification(config)
        with torch.no_grad():
            model.classifier.weight.mul_(40)
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return folder


def distilled(tiny_bert, folder, teacher, *, adapter=None, hidden=0.0, weight=1.0, on_step=None, epochs=6):
    frame = rows(96)
    task, columns = learned_task("classification", "label", frame)
    base = find_base(str(tiny_bert), None, Path())
    examples = task.examples(frame, columns, load_tokenizer(base.folder), 16)
    big = transformers.AutoModelForSequenceClassification.from_pretrained(teacher)
    answers = np.asarray(predict_outputs(big, task, examples))[:, [2, 1, 0]]
    teaching = Teaching(answers, big if hidden else None, examples if hidden else None)
    objective = Distillation(task, teaching, 2.0, weight, hidden)
    model = adapted(base, task, adapter or full(), seed=7, max_length=16)
    settings = Training(epochs=epochs, batch_size=16, learning_rate=3e-3)
    plan = plain(batch_size=16, micro_batch_size=None, max_grad_norm=1.0, seed=7)
    fitted = fit(
        model, task, examples, None, settings, plan, objective=objective, work=folder / "work",
        logs=folder / "logs", on_step=on_step,
    )  # fmt: skip
    new = task.examples(rows(64, seed=9), columns, load_tokenizer(base.folder), 16)
    theirs = np.asarray(predict_outputs(big, task, new))[:, [2, 1, 0]]
    ours = np.asarray(predict_outputs(fitted.model, task, new))
    apart = (softmax(theirs, axis=1) * (log_softmax(theirs, axis=1) - log_softmax(ours, axis=1))).sum(axis=1)
    return fitted, float(apart.mean())


def test_a_student_comes_nearer_to_its_teacher_than_one_that_learns_the_labels(tiny_bert, tmp_path):
    teacher = teacher_folder(tiny_bert, tmp_path / "teacher")
    taught = distilled(tiny_bert, tmp_path / "a", teacher)[1]
    alone = distilled(tiny_bert, tmp_path / "b", teacher, weight=0.0)[1]
    assert taught < 0.25 * alone


def test_hidden_states_are_compared_layer_by_layer_over_the_tokens_of_each_text(tiny_bert, tmp_path):
    """Jiao et al. 2020, equations 7 to 9: student layer m with teacher layer m M / N, the embeddings too."""
    frame = rows(20)
    task, columns = learned_task("classification", "label", frame)
    base = find_base(str(tiny_bert), None, Path())
    examples = task.examples(frame, columns, load_tokenizer(base.folder), 16)
    model = adapted(base, task, full(), seed=7, max_length=16).eval()
    folder = teacher_folder(tiny_bert, tmp_path / "teacher")
    big = transformers.AutoModelForSequenceClassification.from_pretrained(folder).train()
    answers = np.zeros((20, 3), dtype=np.float32)
    plain_one = Distillation(task, Teaching(answers), 1.0, 0.5)
    both = Distillation(task, Teaching(answers, big, examples), 1.0, 0.5, hidden=2.0)
    both.begin(model, seed=3)
    widened = getattr(model, PROJECTION)
    assert widened.weight.shape == (48, 32)
    batch = examples.batch(np.arange(20))
    with torch.no_grad():
        found = both.loss(forward_of(model), batch) - plain_one.loss(forward_of(model), batch)
        ours = model(**batch.inputs, output_hidden_states=True).hidden_states
        theirs = big.eval()(**batch.inputs, output_hidden_states=True).hidden_states
        wanted = []
        for row, length in enumerate(batch.inputs["attention_mask"].sum(dim=1).tolist()):
            each = [
                ((widened(ours[m][row, :length]) - theirs[2 * m][row, :length]) ** 2).mean() for m in range(3)
            ]
            wanted.append(2.0 * float(sum(each)) / 3)
    assert found.numpy() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("adapter", [full(), lora()], ids=["full", "lora"])
def test_a_stop_changes_nothing_and_the_map_between_widths_is_not_kept(tiny_bert, tmp_path, adapter):
    teacher = teacher_folder(tiny_bert, tmp_path / "teacher")
    options = {"adapter": adapter, "hidden": 1.0, "epochs": 2}
    whole = distilled(tiny_bert, tmp_path / "whole", teacher, **options)[0]

    def stop(step):
        if step.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        distilled(tiny_bert, tmp_path / "parts", teacher, on_step=stop, **options)
    resumed = distilled(tiny_bert, tmp_path / "parts", teacher, **options)[0]
    assert resumed.history == whole.history
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not any(PROJECTION in name for name in ours)


def test_comparing_hidden_states_draws_the_student_s_nearer(tiny_bert, tmp_path):
    teacher = teacher_folder(tiny_bert, tmp_path / "teacher", width=32, layers=2)
    big = transformers.AutoModel.from_pretrained(teacher).eval()

    def apart(fitted):
        inputs = {"input_ids": torch.tensor([[2, 5, 6, 3]])}
        with torch.no_grad():
            ours, theirs = (
                one(**inputs, output_hidden_states=True).hidden_states
                for one in (fitted.model.base_model, big)
            )
        return float(sum((a - b).square().mean() for a, b in zip(ours, theirs, strict=True)))

    near = apart(distilled(tiny_bert, tmp_path / "a", teacher, hidden=5.0)[0])
    far = apart(distilled(tiny_bert, tmp_path / "b", teacher)[0])
    assert near < 0.8 * far


def test_class_weights_weigh_the_labels_and_not_the_teacher(tiny_bert):
    frame = rows()
    task, columns = learned_task("classification", "label", frame)
    base = find_base(str(tiny_bert), None, Path())
    examples = task.examples(frame, columns, load_tokenizer(base.folder), 16)
    model = adapted(base, task, full(), seed=7, max_length=16).eval()
    objective = Distillation(task, Teaching(np.ones((64, 3), dtype=np.float32)), 1.0, 0.25)
    weights, batch = torch.tensor(objective.balance(examples)), examples.batch(np.arange(12))
    with torch.no_grad():
        difference = objective.loss(model, batch, weights) - objective.loss(model, batch)
        own = task.loss(model, batch, weights) - task.loss(model, batch)
    assert difference.abs().max() > 0.1
    assert difference.numpy() == pytest.approx(0.75 * own.numpy(), abs=1e-5)
