"""What an update of a language model costs in time and memory: transformers' own pass and loss, and Charter with its options.

A GPT-2 of 4 layers, width 256 and GPT-2's own vocabulary of 50,257, random weights, blocks of 256 random tokens (no
padding, so that none can be saved), 2,048 tokens an update, AdamW, one thread. Each arm is a process of its own, in turns.
`peak_memory_mb` is the process's, less what it held before its first update: weights are in both, moments come with it.

transformers: `model(input_ids, labels=...)`, as its Trainer computes it. charter: the loss by parts of the vocabulary.
*_checkpointing: with gradient checkpointing of both.
"""

import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figures, main
from turns import THREADS, Turns, in_turns

ARMS = ("transformers", "charter", "transformers_checkpointing", "charter_checkpointing")
LAYERS, WIDTH, HEADS, VOCABULARY = 4, 256, 4, 50_257
LENGTH, AT_ONCE, UPDATES, QUICK_UPDATES = 256, 8, 40, 10
SEED = 7


def measure(quick: bool) -> Figures:
    found = in_turns(ARMS, _arm, QUICK_UPDATES if quick else UPDATES)
    figures: dict[str, float] = {"threads": float(THREADS)}
    for arm, one in found.items():
        figures[f"{arm}.cpu_seconds_per_update"] = one["seconds"] / one["updates"]
        figures[f"{arm}.peak_memory_mb"] = one["peak_memory_mb"] - one["before_mb"]
        figures[f"{arm}.last_loss"] = one["loss"]
    for ending in ("", "_checkpointing"):
        ours, theirs = f"charter{ending}", f"transformers{ending}"
        figures[f"time_vs_transformers{ending}"] = found[ours]["seconds"] / found[theirs]["seconds"]
        figures[f"memory_vs_transformers{ending}"] = (
            figures[f"{ours}.peak_memory_mb"] / figures[f"{theirs}.peak_memory_mb"]
        )
    return figures


def _arm(arm: str, turns: Turns, updates: int) -> dict[str, float]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(SEED)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=LENGTH,
        embd_pdrop=0.0, resid_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    tokens = np.random.default_rng(SEED).integers(0, VOCABULARY, (updates * AT_ONCE, LENGTH))
    train = _charter if arm.startswith("charter") else _transformers
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    loss = train(model, tokens, arm.endswith("checkpointing"), turns)
    turns.stop()
    return {"updates": float(updates), "loss": loss, "before_mb": before}


def _transformers(model: Any, tokens: Any, checkpointing: bool, turns: Turns) -> float:
    """The updates of transformers' Trainer, without the Trainer."""
    import torch

    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    order = np.random.default_rng([SEED, 0]).permutation(len(tokens))  # as a plain plan shuffles them
    turns.begin()
    for start in range(0, len(order), AT_ONCE):
        ids = torch.from_numpy(tokens[order[start : start + AT_ONCE]])
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        turns.after_update()
    return float(loss.detach())


def _charter(model: Any, tokens: Any, checkpointing: bool, turns: Turns) -> float:
    """Charter's own fit."""
    from torch.utils.tensorboard import SummaryWriter  # imported by `fit`: no arm's set-up is measured

    from charter.data.batch import Examples
    from charter.privacy.plan import plain
    from charter.spec.training import Training
    from charter.tasks.causal_language_modelling import CausalLanguageModelling
    from charter.training.fitting import FitProgress, fit

    assert SummaryWriter is not None
    settings = Training.model_validate(
        {"epochs": 1, "batch_size": AT_ONCE, "learning_rate": 1e-4, "weight_decay": 0.01, "warmup": 0.0,
         "schedule": "constant", "seed": SEED, **({"gradient_checkpointing": True} if checkpointing else {})}
    )  # fmt: skip
    lessons = Examples(
        ids=tuple(tokens), targets=None, rows=np.arange(len(tokens)), truncated=0, pad_id=0,
        counts=np.full(len(tokens), LENGTH - 1),
    )  # fmt: skip
    plan = plain(batch_size=AT_ONCE, micro_batch_size=None, max_grad_norm=1.0, seed=SEED)
    folder, told = Path(tempfile.mkdtemp()), [0.0]

    def after(step: FitProgress) -> None:
        told[0] = step.loss
        turns.after_update()

    turns.begin()
    fit(
        model, CausalLanguageModelling(), lessons, None, settings, plan, work=folder / "work",
        logs=folder / "logs", on_step=after, checkpoint_seconds=1e9,
    )  # fmt: skip
    return told[0]


if __name__ == "__main__":
    main(measure, __doc__ or "")
