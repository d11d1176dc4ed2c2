"""Training: same seed, same weights; every adapter changes only what it says; the folded temperature is the judged one."""

import os
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charter import plugins
from charter.data.columns import ROW, Columns
from charter.errors import DataError, ModelError, TrainingError
from charter.models.adapters import adapted
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.folding import fold_temperature
from charter.models.inference import predict_outputs
from charter.pipeline.learned import _energy
from charter.privacy.plan import plain
from charter.runs.findings import Finding
from charter.spec.training import Training
from charter.tasks.classification import classification
from charter.training import fit_state, fitting
from charter.training.energy import Counter, Meter
from charter.training.fit_state import Validation
from charter.training.fitting import fit
from charter.training.loop import schedule

COLUMNS = Columns(inputs={"text": "text"}, target="label")


def setting(tiny_bert, adapter="full", **training):
    rng = np.random.default_rng(0)
    words = [["great", "lovely"], ["awful", "rude"]]
    labels = rng.integers(0, 2, 96)
    texts = [f"the {rng.choice(words[label])} room was it" for label in labels]
    rows = pl.DataFrame({ROW: range(96), "text": texts, "label": [["good", "bad"][one] for one in labels]})
    task = classification().fit(rows, COLUMNS)
    base = find_base(str(tiny_bert), None, tiny_bert.parent)
    examples = task.examples(rows, COLUMNS, load_tokenizer(base.folder), 16)
    made = plugins.make("adapter", adapter, {})
    batches = {} if "tokens_per_batch" in training else {"batch_size": 16}
    settings = Training.model_validate({"epochs": 2, "learning_rate": 5e-3, **batches, **training})
    torch.randn(int(rng.integers(1, 9)))  # whatever was drawn before must not matter
    return task, rows, examples, adapted(base, task, made, seed=7, max_length=16), made, settings


def fitted(tiny_bert, folder, adapter="full", on_step=None, validated=True, on_note=None, **training):
    task, rows, examples, model, made, settings = setting(tiny_bert, adapter, **training)
    untouched = attach(find_base(str(tiny_bert), None, folder), task, seed=7, max_length=16)
    before = untouched.state_dict()
    plan = plain(
        batch_size=settings.batch_size,
        micro_batch_size=settings.micro_batch_size,
        max_grad_norm=settings.max_grad_norm,
        seed=7,
        tokens_per_batch=settings.tokens_per_batch,
        lengths=examples.lengths,
    )
    result = fit(
        model,
        task,
        examples,
        Validation(examples, rows, COLUMNS) if validated else None,
        settings,
        plan,
        work=folder / "work",
        logs=folder / "logs",
        on_step=on_step,
        on_note=on_note,
    )
    return task, examples, before, result, made.merge(result.model)


@pytest.mark.parametrize("adapter", ["full", "head", "bias", "lora"])
def test_same_seed_same_weights(tiny_bert, tmp_path, adapter):
    weights = []
    for name in "ab":
        weights.append(fitted(tiny_bert, tmp_path / name, adapter)[4].state_dict())
        torch.manual_seed(99)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_training_learns_and_keeps_the_best(tiny_bert, tmp_path):
    result = fitted(tiny_bert, tmp_path, epochs=12)[3]
    scores = [one["validation_score"] for one in result.history if one["kind"] == "evaluation"]
    assert max(scores) > 0.9
    at = next(one["step"] for one in result.history if one.get("validation_score") == max(scores))
    assert result.best_step == at


class Stop:
    """A real Ctrl-C when the process first gets to a place: after an update, or inside the evaluation of one."""

    def __init__(self, monkeypatch, update, inside_evaluation):
        self.update, self.inside, self.seen, self.sent = update, inside_evaluation, 0, False
        if inside_evaluation:
            batch = fit_state.predict_outputs

            def watched(*args, **options):
                self.send_at(self.seen)
                return batch(*args, **options)

            monkeypatch.setattr(fit_state, "predict_outputs", watched)

    def send_at(self, update):
        if update >= self.update and not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGINT)

    def __call__(self, step):
        self.seen = step.step
        if not self.inside:
            self.send_at(step.step)


@pytest.mark.parametrize(("update", "inside"), [(3, False), (6, False), (5, True), (11, True)])
@pytest.mark.parametrize(
    ("adapter", "options"),
    [("full", {}), ("lora", {}), ("full", {"economies": True}), ("full", {"tokens_per_batch": 100})],
)
def test_a_stop_at_any_moment_changes_neither_weights_nor_history(
    tiny_bert, tmp_path, monkeypatch, update, inside, adapter, options
):
    options = {"epochs": 3, **options}
    whole = fitted(tiny_bert, tmp_path / "whole", adapter, **options)
    stop = Stop(monkeypatch, update, inside)
    with pytest.raises(KeyboardInterrupt):
        fitted(tiny_bert, tmp_path / "parts", adapter, on_step=stop, **options)
    notes = []
    resumed = fitted(tiny_bert, tmp_path / "parts", adapter, on_step=stop, on_note=notes.append, **options)
    assert notes == [f"goes on from update {stop.update} of {whole[3].steps}"] or inside
    assert resumed[3].history == whole[3].history
    assert resumed[3].best_step == whole[3].best_step
    ours, theirs = resumed[4].state_dict(), whole[4].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_economies_learn_and_leave_the_words_that_no_text_has_alone(tiny_bert, tmp_path):
    _, examples, before, result, model = fitted(tiny_bert, tmp_path, epochs=12, economies=True)
    scores = [one["validation_score"] for one in result.history if one["kind"] == "evaluation"]
    assert max(scores) > 0.9
    name = "bert.embeddings.word_embeddings.weight"
    moved = (model.state_dict()[name] != before[name]).any(dim=1)
    read = np.unique(np.concatenate(examples.ids))
    assert moved.nonzero().flatten().tolist() == read.tolist()


@pytest.mark.parametrize("sparse", [False, True])
def test_clipped_gradients_are_no_longer_than_asked(tiny_bert, sparse):
    task, _, examples, model, _, _ = setting(tiny_bert)
    model.eval()

    def norms(max_grad_norm):
        model.zero_grad()
        plan = plain(batch_size=16, micro_batch_size=5, max_grad_norm=max_grad_norm, seed=1)
        descent = plan.gradient(model, np.arange(16), lambda some: task.loss(model, examples.batch(some)))
        gradients = [one.grad.to_dense().flatten() for one in model.parameters() if one.grad is not None]
        return descent.gradient_norm, float(torch.cat(gradients).norm())

    _, whole = norms(None)
    model.get_input_embeddings().sparse = sparse
    assert norms(whole / 2) == pytest.approx((whole, whole / 2), rel=1e-4)
    assert norms(whole * 2) == pytest.approx((whole, whole), rel=1e-4)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=80),
    tokens=st.integers(1, 300),
    epoch=st.integers(0, 3),
)
def test_batches_by_tokens_hold_every_example_once_and_about_so_many_tokens(lengths, tokens, epoch):
    lengths = np.asarray(lengths)
    plan = plain(
        batch_size=32,
        micro_batch_size=None,
        max_grad_norm=None,
        seed=3,
        tokens_per_batch=tokens,
        lengths=lengths,
    )
    batches = list(plan.batches(len(lengths), epoch))
    assert len(batches) == plan.steps_per_epoch(len(lengths))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(one) for one in batches)
    if tokens >= 2 * lengths.max():  # else single examples decide
        assert all(lengths[one].sum() < tokens + lengths.max() for one in batches)


def test_early_stopping_without_validation_rows_is_refused(tiny_bert, tmp_path):
    with pytest.raises(DataError, match="early_stopping needs validation rows"):
        fitted(tiny_bert, tmp_path, early_stopping=1, validated=False)


def test_weights_that_the_last_update_ruined_are_not_returned(tiny_bert, tmp_path):
    def ruin(step):
        if step.step == step.steps:
            with torch.no_grad():
                ruined[0].classifier.bias.fill_(float("nan"))

    ruined = []
    original = fitting.optimizers_of

    def remember(model, settings, layerwise, **more):
        ruined.append(model)
        return original(model, settings, layerwise, **more)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError, match=r"classifier\.bias"):
        patch.setattr(fitting, "optimizers_of", remember)
        fitted(tiny_bert, tmp_path, on_step=ruin, validated=False)


def test_early_stopping_stops(tiny_bert, tmp_path):
    result = fitted(tiny_bert, tmp_path, epochs=60, early_stopping=2)[3]
    assert result.steps < 60 * 6


def test_micro_batches_give_the_same_gradient(tiny_bert):
    task, _, examples, model, _, _ = setting(tiny_bert)
    model.eval()
    gradients = []
    for micro in (16, 5):
        model.zero_grad()
        plan = plain(batch_size=16, micro_batch_size=micro, max_grad_norm=None, seed=1)
        index = next(plan.batches(len(examples), 0))
        plan.gradient(model, index, lambda some: task.loss(model, examples.batch(some)))
        gradients.append(
            torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])
        )
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("adapter", ["head", "bias", "lora"])
def test_an_adapter_changes_only_what_it_says(tiny_bert, tmp_path, adapter):
    _, _, before, result, merged = fitted(tiny_bert, tmp_path, adapter)
    changed = {name for name, one in merged.state_dict().items() if not torch.equal(one, before[name])}
    assert "classifier.weight" in changed
    assert result.trainable_parameters < result.parameters
    base = {name for name in changed if name.startswith("bert.")}
    if adapter == "head":
        assert base == set()
    elif adapter == "bias":
        assert base
        assert all(name.endswith("bias") for name in base)
    else:
        assert base
        assert all("weight" in name and "embeddings" not in name for name in base)


def test_a_folded_temperature_divides_the_logits(tiny_bert):
    task, _, examples, model, _, _ = setting(tiny_bert)
    before = predict_outputs(model, task, examples)
    fold_temperature(model, 2.5)
    after = predict_outputs(model, task, examples)
    np.testing.assert_allclose(np.asarray(before) / 2.5, np.asarray(after), rtol=1e-4, atol=1e-6)


def test_a_loss_that_is_no_number_stops_with_advice(tiny_bert, tmp_path):
    with pytest.raises(TrainingError, match="learning_rate"):
        fitted(
            tiny_bert,
            tmp_path,
            learning_rate=10.0,
            epochs=200,
            max_grad_norm=None,
            warmup=0.0,
            batch_size=4,
            weight_decay=1e9,
        )


def test_bases_that_can_not_be_trusted_are_refused(tiny_bert, tmp_path):
    for name, wanted in (("none", "no folder"), ("empty", "config.json")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ModelError, match=wanted):
            find_base("./none" if name == "none" else name, None, tmp_path) if name == "empty" else find_base(
                "x/none", None, tmp_path
            )
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="safetensors"):
        find_base("pickled", None, tmp_path)


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
def test_the_rate_rises_and_decays(kind):
    rate = schedule(kind, peak=1.0, warmup=0.1, steps=100)
    values = [rate(step) for step in range(100)]
    assert values[:10] == pytest.approx([0.1 * (n + 1) for n in range(10)])
    assert max(values) == 1.0
    assert (values[-1] < 0.02) == (kind != "constant")


REFUSED = """
import resource, sys, torch
from pathlib import Path
from charter.runs.files import machine_errors
from charter.training.checkpoint import save_checkpoint
model = torch.nn.Linear(300, 300)
optimizer = torch.optim.AdamW(model.parameters())
save_checkpoint(Path(sys.argv[1]), model, optimizer, None, {})
before = Path(sys.argv[1], "checkpoint.pt").read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    with machine_errors(Path("here")):
        save_checkpoint(Path(sys.argv[1]), model, optimizer, None, {})
except OSError as error:
    assert error.errno == 27, error
else:
    raise SystemExit("it was not refused")
assert [one.name for one in Path(sys.argv[1]).iterdir()] == ["checkpoint.pt"]
assert Path(sys.argv[1], "checkpoint.pt").read_bytes() == before
"""


def test_a_checkpoint_that_the_disk_refuses_leaves_the_one_before(tmp_path):
    subprocess.run(
        [sys.executable, "-c", REFUSED, str(tmp_path / "work")], check=True, stdout=subprocess.DEVNULL
    )


def test_a_fit_that_was_stopped_adds_up_the_energy_of_its_parts(tiny_bert, tmp_path, monkeypatch):
    """By a counter that tells one joule more each time it is read."""
    reads = iter(range(10_000))

    def meter(gpus):
        return Meter([Counter(lambda: float(next(reads)), None)], ("a counter",))

    monkeypatch.setattr(fitting, "meter_of", meter)
    with pytest.raises(KeyboardInterrupt):
        fitted(tiny_bert, tmp_path, on_step=Stop(monkeypatch, 3, False))
    seen = next(reads)
    *_, result, _ = fitted(tiny_bert, tmp_path)
    assert result.energy.sources == ("a counter",)
    assert 0 < seen - 1 <= result.energy.joules <= next(reads)
    assert _energy(result, Finding("training", "energy_joules", 0.0)).value == result.energy.joules
