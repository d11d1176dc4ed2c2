"""What a private update costs: CPU-seconds and peak memory of an update of 64 tweets, MiniLM, in turns (see turns.py).

transformers: its own model on padded batches, AdamW, no privacy. opacus-hooks, opacus-ghost: Opacus 1.6 on the same model and
batches, per-example gradients by hooks, or ghost clipping (two backward passes). plain: Charter without privacy. private: Charter's
private plan (one forward, one backward pass). lora-*: the same with LoRA factors of rank 8 alone. All arms read the same
examples in the same updates, with dropout on; noise is drawn by each arm's own default generator (Charter's is a cipher's).

figures: NAME.seconds_per_update, NAME.peak_memory_mb and the ratios private_vs_own_plain, opacus_ghost_vs_private,
private_vs_transformers_plain, memory_vs_own_plain, lora_private_vs_own_plain.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figures, main
from turns import THREADS, Turns, in_turns

BATCH, LENGTH, RATE = 64, 128, 5e-4
CLIP, NOISE = 1.0, 1.0
UPDATES, QUICK_UPDATES = 30, 10
ARMS = ("transformers", "opacus-ghost", "plain", "private")
ALONE = ("opacus-hooks",)
"""It takes 10 GB: it runs by itself, after the others."""
ALONE_UPDATES = 5
LORA = ("lora-opacus-hooks", "lora-plain", "lora-private")
RANK = 8


def measure(quick: bool) -> Figures:
    updates = QUICK_UPDATES if quick else UPDATES
    found = {**in_turns(ARMS, _arm, updates), **in_turns(LORA, _arm, updates)}
    found |= in_turns(ALONE, _arm, ALONE_UPDATES)
    figures: dict[str, float] = {"threads": float(THREADS), "updates": float(updates)}
    for arm, one in found.items():
        figures[f"{arm}.seconds_per_update"] = one["seconds"] / (ALONE_UPDATES if arm in ALONE else updates)
        figures[f"{arm}.peak_memory_mb"] = one["peak_memory_mb"]

    def ratio(key: str, one: str, other: str) -> float:
        return found[one][key] / found[other][key]

    figures["private_vs_own_plain"] = ratio("seconds", "private", "plain")
    figures["opacus_ghost_vs_private"] = ratio("seconds", "opacus-ghost", "private")
    figures["private_vs_transformers_plain"] = ratio("seconds", "private", "transformers")
    figures["memory_vs_own_plain"] = ratio("peak_memory_mb", "private", "plain")
    figures["lora_private_vs_own_plain"] = ratio("seconds", "lora-private", "lora-plain")
    figures["lora_opacus_hooks_vs_private"] = ratio("seconds", "lora-opacus-hooks", "lora-private")
    return figures


def _arm(arm: str, turns: Turns, updates: int) -> dict[str, float]:
    """Make the updates of one arm, pausing after every few until it is its turn again."""
    import torch

    torch.manual_seed(0)
    data = _data(BATCH * updates)
    kind = arm.removeprefix("lora-")
    model = _model(data, lora=arm != kind)
    steps = {
        "transformers": _padded,
        "opacus-ghost": _opacus_ghost,
        "opacus-hooks": _opacus_hooks,
        "plain": _own,
        "private": _own,
    }[kind](model, data, updates, kind)
    next(steps)  # the first update sets up the optimizer's state: it is made before the count
    gc.collect()
    turns.begin()
    for _ in range(updates):
        next(steps)
        turns.after_update()
    turns.stop()
    return {}


def _data(count: int) -> dict[str, Any]:
    """So many tweets, encoded once for all arms."""
    from charter.data.columns import Columns
    from charter.data.reading import read_source
    from charter.models.base import find_base, load_tokenizer
    from charter.spec.data import Data
    from charter.tasks.classification import classification

    data = Data.model_validate({"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"})
    rows = read_source(data, Path()).frame.sample(count, seed=7, shuffle=True)
    columns = Columns.of(data)
    base = find_base("sample:minilm", None, Path())
    tokenizer = load_tokenizer(base.folder)
    task = classification().fit(rows, columns)
    return {"base": base, "task": task, "examples": task.examples(rows, columns, tokenizer, LENGTH)}


def _model(data: dict[str, Any], *, lora: bool) -> Any:
    from charter.models.adapters import adapted
    from charter.models.adapters import full as full_adapter
    from charter.models.adapters import lora as lora_adapter

    adapter = lora_adapter(rank=RANK) if lora else full_adapter()
    return adapted(data["base"], data["task"], adapter, seed=7, max_length=LENGTH).train()


def _batches(updates: int) -> Iterator[np.ndarray[Any, Any]]:
    """The first batch twice: once before the count."""
    yield np.arange(BATCH)
    for update in range(updates):
        yield np.arange(update * BATCH, (update + 1) * BATCH)


def _inputs(data: dict[str, Any], index: np.ndarray[Any, Any]) -> tuple[dict[str, Any], Any]:
    """A batch as transformers wants it. Opacus needs the positions of each example: (batch, length)."""
    import torch

    batch = data["examples"].batch(index)
    inputs = dict(batch.inputs)
    shape = inputs["input_ids"].shape
    inputs["position_ids"] = torch.arange(shape[1]).expand(shape).contiguous()  # Opacus asks for it
    inputs["token_type_ids"] = torch.zeros(shape, dtype=torch.long)
    return inputs, batch.targets


def _learning(model: Any) -> list[Any]:
    return [one for one in model.parameters() if one.requires_grad]


def _padded(model: Any, data: dict[str, Any], updates: int, kind: str) -> Iterator[None]:
    del kind
    import torch

    optimizer = torch.optim.AdamW(_learning(model), lr=RATE, fused=True)
    for index in _batches(updates):
        inputs, labels = _inputs(data, index)
        optimizer.zero_grad()
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
        yield


def _opacus_hooks(model: Any, data: dict[str, Any], updates: int, kind: str) -> Iterator[None]:
    del kind
    import torch
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    wrapped = GradSampleModule(model)
    inner = torch.optim.AdamW(_learning(model), lr=RATE, fused=True)
    optimizer = DPOptimizer(inner, noise_multiplier=NOISE, max_grad_norm=CLIP, expected_batch_size=BATCH)
    for index in _batches(updates):
        inputs, labels = _inputs(data, index)
        optimizer.zero_grad()
        wrapped(**inputs, labels=labels).loss.backward()
        optimizer.step()
        yield


def _opacus_ghost(model: Any, data: dict[str, Any], updates: int, kind: str) -> Iterator[None]:
    del kind
    import torch
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    wrapped = GradSampleModuleFastGradientClipping(model, max_grad_norm=CLIP, use_ghost_clipping=True)
    inner = torch.optim.AdamW(_learning(model), lr=RATE, fused=True)
    optimizer = DPOptimizerFastGradientClipping(
        inner, noise_multiplier=NOISE, max_grad_norm=CLIP, expected_batch_size=BATCH
    )
    criterion = DPLossFastGradientClipping(
        wrapped, optimizer, torch.nn.CrossEntropyLoss(reduction="mean"), loss_reduction="mean"
    )
    for index in _batches(updates):
        inputs, labels = _inputs(data, index)
        optimizer.zero_grad()
        criterion(wrapped(**inputs).logits, labels).backward()
        optimizer.step()
        yield


def _own(model: Any, data: dict[str, Any], updates: int, kind: str) -> Iterator[None]:
    """Charter's loop, by a plan whose batches are the others' too."""
    from charter.privacy.clipping import Flat
    from charter.privacy.plan import Plain, Reduction
    from charter.privacy.private import Private
    from charter.privacy.stream import SecretStream
    from charter.spec.training import Training
    from charter.training.loop import train
    from charter.training.optimizers import optimizers_of

    class GivenPlain(Plain):
        def batches(self, n: int, epoch: int) -> Iterator[Any]:
            del n, epoch
            return _batches(updates)

    class GivenPrivate(Private):
        def batches(self, n: int, epoch: int) -> Iterator[Any]:
            del n, epoch
            return _batches(updates)

        def steps_per_epoch(self, n: int) -> int:
            del n
            return updates + 1

    plan = (
        GivenPlain(BATCH, Reduction(None, None), 7)
        if kind == "plain"
        else GivenPrivate(BATCH, None, Flat(CLIP), NOISE, 1e-5, SecretStream.fresh())
    )
    settings = Training.model_validate({"epochs": 1, "batch_size": BATCH, "learning_rate": RATE})
    for _ in train(
        model,
        data["task"],
        data["examples"],
        plan,
        optimizer=optimizers_of(model, settings),
        learning_rate=lambda _: RATE,
        steps=updates + 1,
        seed=7,
    ):
        yield


if __name__ == "__main__":
    main(measure, __doc__ or "")
