"""Fine-tuning speed: transformers' Trainer and Charter on the same model, rows, batch size and threads, in turns.

Each arm is a process of its own (so its peak memory is its own) that trains a whole epoch. Only one of them runs at a
time: after every few updates it hands over to the next, so that whatever else the machine does falls on all alike.
What is compared is CPU-seconds of training; the scores are of each arm's model on the same held-out tweets.

trainer: random batches, padded to the longest. grouped: `train_sampling_strategy="group_by_length"`. exact: Charter.
economies: Charter with `training: {economies: true}`.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figures, main

ARMS = ("trainer", "grouped", "exact", "economies")
TEXTS, HELD_OUT, BATCH, LENGTH, RATE, DECAY = 6_000, 3_000, 32, 128, 5e-5, 0.01
QUICK_TEXTS, QUICK_HELD_OUT = 640, 500
AT_ONCE = 5
"""Updates that an arm makes before it hands over."""
SEEDS = (7, 11)


def measure(quick: bool) -> Figures:
    seeds = SEEDS[:1] if quick else SEEDS
    found = [
        _in_turns(seed, *((QUICK_TEXTS, QUICK_HELD_OUT) if quick else (TEXTS, HELD_OUT))) for seed in seeds
    ]
    figures: dict[str, float] = {"threads": float(_threads())}
    seconds = {arm: sum(one[arm]["seconds"] for one in found) for arm in ARMS}
    for arm in ARMS:
        figures[f"{arm}.cpu_seconds_per_epoch"] = seconds[arm] / len(found)
        figures[f"{arm}.macro_f1"] = float(np.mean([one[arm]["macro_f1"] for one in found]))
        figures[f"{arm}.peak_memory_mb"] = max(one[arm]["peak_memory_mb"] for one in found)
    for number, one in zip(seeds, found, strict=True):
        for arm in ARMS[2:]:
            figures[f"seed_{number}.{arm}_vs_trainer"] = one["trainer"]["seconds"] / one[arm]["seconds"]
            figures[f"seed_{number}.{arm}_macro_f1_difference"] = (
                one[arm]["macro_f1"] - one["trainer"]["macro_f1"]
            )
    figures["exact_vs_trainer"] = seconds["trainer"] / seconds["exact"]
    figures["economies_vs_trainer"] = seconds["trainer"] / seconds["economies"]
    figures["vs_grouped_trainer"] = seconds["grouped"] / seconds["exact"]
    figures["economies_vs_grouped_trainer"] = seconds["grouped"] / seconds["economies"]
    figures["score_difference"] = figures["exact.macro_f1"] - figures["trainer.macro_f1"]
    figures["economies_score_difference"] = figures["economies.macro_f1"] - figures["trainer.macro_f1"]
    return figures


def _threads() -> int:
    return 1


def _in_turns(seed: int, texts: int, held_out: int) -> dict[str, dict[str, float]]:
    """One epoch of every arm, a few updates of each in turn."""
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    arms = []
    for arm in ARMS:
        ours, theirs = context.Pipe()
        process = context.Process(target=_arm, args=(arm, seed, texts, held_out, theirs))
        process.start()
        if (
            ours.recv() != "ready"
        ):  # one after the other: what is set up is not measured, but should not disturb either
            sys.exit(f"{arm} did not start")
        ends[arm] = ours
        arms.append(process)
    found: dict[str, dict[str, float]] = {}
    while len(found) < len(ARMS):
        for arm, end in ends.items():
            if arm in found:
                continue
            end.send("go")
            told = end.recv()
            if told is not None:
                found[arm] = told
                print(f"seed {seed} {arm}: {json.dumps(told)}", file=sys.stderr)
    for process in arms:
        process.join()
    return found


def _arm(arm: str, seed: int, texts: int, held_out: int, end: Connection) -> None:
    """Train one arm, pausing after every few updates until it is told to go on; tell what was found."""
    import os

    os.environ.update(OMP_NUM_THREADS=str(_threads()), TOKENIZERS_PARALLELISM="false")
    import torch

    torch.set_num_threads(_threads())
    data = _data(seed, texts, held_out)
    turns = _Turns(end)
    train = _trainer if arm in ("trainer", "grouped") else _charter
    model = train(arm, seed, data, turns.after_update, turns.begin)
    turns.stop()
    end.send(
        {
            "seconds": turns.seconds,
            "macro_f1": _macro_f1(model, data),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )


class _Turns:
    """Counts the CPU-seconds between `begin` and the end, without those in which it is the others' turn."""

    def __init__(self, end: Connection) -> None:
        self.end, self.seconds, self.updates, self.since = end, 0.0, 0, 0.0

    def begin(self) -> None:
        self.end.send("ready")
        self.end.recv()
        self.since = time.process_time()

    def after_update(self) -> None:
        self.updates += 1
        if self.updates % AT_ONCE == 0:
            self.stop()
            self.end.send(None)
            self.end.recv()
            self.since = time.process_time()

    def stop(self) -> None:
        self.seconds += time.process_time() - self.since


def _data(seed: int, texts: int, held_out: int) -> dict[str, Any]:
    """Tweets as Charter prepares them (near-duplicates dropped), drawn by the seed, encoded once for all arms."""
    import polars as pl

    from charter.data.columns import Columns
    from charter.models.base import find_base, load_tokenizer
    from charter.tasks.classification import classification

    rows = pl.read_parquet(_tweets())
    rows = rows.sample(texts + held_out, seed=seed, shuffle=True)
    columns = Columns(inputs={"text": "text"}, target="sentiment")
    base = find_base("sample:minilm", None, Path())
    tokenizer = load_tokenizer(base.folder)
    task = classification().fit(rows, columns)
    train, test = rows.head(texts), rows.tail(held_out)
    return {
        "base": base,
        "tokenizer": tokenizer,
        "task": task,
        "columns": columns,
        "examples": task.examples(train, columns, tokenizer, LENGTH),
        "test": test,
        "test_examples": task.examples(test, columns, tokenizer, LENGTH),
    }


def _tweets() -> Path:
    return Path(tempfile.gettempdir()) / "charter-finetune-tweets.parquet"


def _prepare_tweets() -> None:
    from charter.data.columns import Columns
    from charter.data.passes import prepare
    from charter.data.reading import read_source
    from charter.spec.data import Data
    from charter.spec.use import Use

    data = Data.model_validate({"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"})
    uses = [Use(use="repair_text"), Use(use="drop_exact_duplicates")]
    prepare(read_source(data, Path()).frame, Columns.of(data), uses).frame.write_parquet(_tweets())


def _model(data: dict[str, Any], seed: int) -> Any:
    from charter.models.base import attach

    return attach(data["base"], data["task"], seed=seed, max_length=LENGTH)


def _trainer(
    arm: str, seed: int, data: dict[str, Any], after_update: Callable[[], None], begin: Callable[[], None]
) -> Any:
    """Train by transformers' Trainer with its own defaults, but for what is the same in every arm."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    class Pause(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            after_update()

    examples = data["examples"]
    rows = [
        {"input_ids": ids.tolist(), "labels": int(label)}
        for ids, label in zip(examples.ids, examples.targets, strict=True)
    ]
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=DECAY,
        warmup_steps=0.06,
        max_grad_norm=1.0,
        train_sampling_strategy="group_by_length" if arm == "grouped" else "random",
        use_cpu=True,
        seed=seed,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        report_to="none",
    )
    model = _model(data, seed)
    trainer = Trainer(
        model,
        arguments,
        data_collator=DataCollatorWithPadding(data["tokenizer"]),
        train_dataset=rows,
        callbacks=[Pause()],
    )
    trainer.train()
    return model


def _charter(
    arm: str, seed: int, data: dict[str, Any], after_update: Callable[[], None], begin: Callable[[], None]
) -> Any:
    """Train by Charter's own fit."""
    from torch.utils.tensorboard import SummaryWriter  # imported by `fit`: no arm's set-up is measured

    from charter.privacy.plan import plain
    from charter.spec.training import Training
    from charter.training.fitting import fit

    assert SummaryWriter is not None
    settings = Training.model_validate(
        {
            "epochs": 1,
            "batch_size": BATCH,
            "learning_rate": RATE,
            "weight_decay": DECAY,
            "seed": seed,
            "economies": arm == "economies",
        }
    )
    plan = plain(batch_size=BATCH, micro_batch_size=None, max_grad_norm=1.0, seed=seed)
    folder = Path(tempfile.mkdtemp())
    model = _model(data, seed)
    begin()
    fitted = fit(
        model,
        data["task"],
        data["examples"],
        None,
        settings,
        plan,
        work=folder / "work",
        logs=folder / "logs",
        on_step=lambda _: after_update(),
        checkpoint_seconds=1e9,
    )
    return fitted.model


def _macro_f1(model: Any, data: dict[str, Any]) -> float:
    from charter.models.inference import predict_outputs

    task = data["task"]
    outputs = predict_outputs(model, task, data["test_examples"])
    totals = task.tally(outputs, data["test"], data["columns"]).sum(axis=0).astype(float)
    return float(task.scores(totals)["macro_f1", ""])


def _lengths() -> Iterator[str]:
    """How many of a padded batch's tokens are real, for the table."""
    data = _data(SEEDS[0], QUICK_TEXTS, QUICK_HELD_OUT)
    lengths = data["examples"].lengths
    batches = np.split(lengths[: len(lengths) // BATCH * BATCH], len(lengths) // BATCH)
    share = lengths.sum() / sum(len(one) * one.max() for one in batches)
    yield f"mean length {lengths.mean():.1f} tokens, {share:.0%} of padded batches is real"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--lengths", action="store_true", help="only say how long the texts are")
    asked, _ = parser.parse_known_args()
    _prepare_tweets()
    if asked.lengths:
        print(*_lengths())
    else:
        main(measure, __doc__ or "")
