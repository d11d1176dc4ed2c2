"""Masked language modelling: transformers' own way and Charter on the same model, texts, tokens per update and threads, in turns.

grouped_blocks: as run_mlm.py groups texts, all of them one after the other cut into blocks of 128, all logits computed.
padded_lines: as run_mlm.py with --line_by_line, a text a row, padded to the longest of its batch, all logits computed.
exact: Charter, a text a sequence, no padding, logits of hidden tokens alone. economies: with `economies: true`.
Each update reads 2,048 real tokens; each arm sees the same texts once. What is compared is real tokens per CPU-second of
training, and the surprise of each arm's model by the same hidden tokens of the same held-out tweets.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figures, main
from turns import THREADS, Turns, in_turns

ARMS = ("grouped_blocks", "padded_lines", "exact", "economies")
TEXTS, HELD_OUT, TOKENS, LENGTH, RATE = 6_000, 1_500, 2_048, 128, 1e-4
QUICK_TEXTS, QUICK_HELD_OUT = 1_200, 300
SEED = 7


def measure(quick: bool) -> Figures:
    texts = (QUICK_TEXTS, QUICK_HELD_OUT) if quick else (TEXTS, HELD_OUT)
    _prepare_tweets()
    found = in_turns(ARMS, _arm, *texts)
    figures: dict[str, float] = {"threads": float(THREADS), "real_tokens": found["exact"]["tokens"]}
    speed = {arm: one["tokens"] / one["seconds"] for arm, one in found.items()}
    for arm, one in found.items():
        figures[f"{arm}.tokens_per_cpu_second"] = speed[arm]
        figures[f"{arm}.held_out_loss"] = one["loss"]
        figures[f"{arm}.peak_memory_mb"] = one["peak_memory_mb"]
    figures["vs_grouped_blocks"] = speed["exact"] / speed["grouped_blocks"]
    figures["vs_padded_lines"] = speed["exact"] / speed["padded_lines"]
    figures["economies_vs_grouped_blocks"] = speed["economies"] / speed["grouped_blocks"]
    figures["loss_difference"] = found["exact"]["loss"] - found["padded_lines"]["loss"]
    figures["loss_difference_grouped_blocks"] = found["exact"]["loss"] - found["grouped_blocks"]["loss"]
    figures["matrix_products.tokens_per_cpu_second"] = _floor(found["exact"]["tokens_per_text"])
    figures["share_of_floor"] = speed["exact"] / figures["matrix_products.tokens_per_cpu_second"]
    return figures


def _tweets() -> Path:
    return Path(tempfile.gettempdir()) / "charter-pretrain-tweets.parquet"


def _prepare_tweets() -> None:
    from charter.data.columns import Columns
    from charter.data.passes import prepare
    from charter.data.reading import read_source
    from charter.spec.data import Data
    from charter.spec.use import Use

    data = Data.model_validate({"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"})
    uses = [Use(use="repair_text"), Use(use="drop_near_duplicates")]
    prepare(read_source(data, Path()).frame, Columns.of(data), uses).frame.write_parquet(_tweets())


def _arm(arm: str, turns: Turns, texts: int, held_out: int) -> dict[str, float]:
    """Train one arm on the texts once; tell its real tokens, and its model's surprise by held-out texts."""
    import polars as pl

    from charter.data.columns import Columns
    from charter.models.base import attach, find_base, load_tokenizer
    from charter.models.inference import predict_outputs
    from charter.tasks.masked_language_modelling import MaskedLanguageModelling

    rows = pl.read_parquet(_tweets()).sample(texts + held_out, seed=SEED, shuffle=True)
    columns = Columns(inputs={"text": "text"})
    base = find_base("sample:minilm", None, Path())
    tokenizer, task = load_tokenizer(base.folder), MaskedLanguageModelling()
    learned, judged = rows.head(texts), rows.tail(held_out)
    model = attach(base, task, seed=SEED, max_length=LENGTH)
    folder = Path(tempfile.mkdtemp())
    lessons = task.encoded([learned], columns, tokenizer, LENGTH, folder / "pieces")
    train = _charter if arm in ("exact", "economies") else _trainer
    model = train(arm, turns, model, task, lessons, tokenizer, folder)
    turns.stop()
    outputs = predict_outputs(model, task, task.examples(judged, columns, tokenizer, LENGTH))
    return {
        "tokens": float(lessons.lengths.sum()),
        "tokens_per_text": float(lessons.lengths.mean()),
        "loss": task.mean_loss(outputs, judged, columns),
    }


def _trainer(
    arm: str, turns: Turns, model: Any, task: Any, lessons: Any, tokenizer: Any, folder: Path
) -> Any:
    """Train by transformers' Trainer and its own collator."""
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

    class Pause(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            turns.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turns.after_update()

    lines = [lessons.ids[at] for at in range(len(lessons))]
    if arm == "grouped_blocks":
        whole = np.concatenate([lines[at] for at in np.random.default_rng(SEED).permutation(len(lines))])
        lines = [whole[at : at + LENGTH] for at in range(0, len(whole) - LENGTH + 1, LENGTH)]
    mean = float(np.mean([len(one) for one in lines]))
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=round(TOKENS / mean),
        learning_rate=RATE,
        weight_decay=0.01,
        warmup_steps=0.06,
        max_grad_norm=1.0,
        use_cpu=True,
        seed=SEED,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        report_to="none",
    )
    trainer = Trainer(
        model,
        arguments,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=task.probability),
        train_dataset=[{"input_ids": one.tolist()} for one in lines],
        callbacks=[Pause()],
    )
    trainer.train()
    return model


def _charter(
    arm: str, turns: Turns, model: Any, task: Any, lessons: Any, tokenizer: Any, folder: Path
) -> Any:
    """Train by Charter's own fit."""
    from torch.utils.tensorboard import SummaryWriter  # imported by `fit`: no arm's set-up is measured

    from charter.privacy.plan import plain
    from charter.spec.training import Training
    from charter.training.fitting import fit

    del tokenizer
    assert SummaryWriter is not None
    settings = Training.model_validate(
        {
            "epochs": 1,
            "tokens_per_batch": TOKENS,
            "learning_rate": RATE,
            "seed": SEED,
            "economies": arm == "economies",
        }
    )
    plan = plain(
        batch_size=32,
        micro_batch_size=None,
        max_grad_norm=1.0,
        seed=SEED,
        tokens_per_batch=TOKENS,
        lengths=lessons.lengths,
    )
    turns.begin()
    fitted = fit(
        model,
        task,
        lessons,
        None,
        settings,
        plan,
        work=folder / "work",
        logs=folder / "logs",
        on_step=lambda _: turns.after_update(),
        checkpoint_seconds=1e9,
    )
    return fitted.model


def _floor(tokens_per_text: float) -> float:
    """Real tokens per CPU-second if nothing but the matrix products of an update were computed, at the speed of a large one."""
    import time

    import torch

    torch.set_num_threads(THREADS)
    layers, width, inner, words, hidden = 6, 384, 1536, 30_522, 0.15
    each = 2 * (4 * width * width + 2 * width * inner) + 4 * width * tokens_per_text
    last = each - 2 * (1 - hidden) * (width * width + 2 * width * inner)
    head = hidden * 2 * (width * width + width * words)
    work = 3 * ((layers - 1) * each + last + head)  # forward, and twice as much backward
    one, other = torch.randn(TOKENS, width), torch.randn(width, inner)
    started, products = time.process_time(), 0
    while time.process_time() - started < 3:
        one @ other
        products += 1
    per_second = products * 2 * TOKENS * width * inner / (time.process_time() - started)
    return per_second / work


if __name__ == "__main__":
    main(measure, __doc__ or "")
