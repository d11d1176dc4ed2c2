"""Examples for people to read: what a language model fills in, what it writes, and which texts it finds alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples, unlabelled
from charter.data.columns import ROW, Columns
from charter.data.text import encode_texts
from charter.models.base import load_encoder, load_model, load_tokenizer
from charter.models.generation import Sampling, tokens_after
from charter.models.inference import predict_outputs
from charter.release.report.misjudged import masked_cells
from charter.serving.generation import Settings, no_text, spoken
from charter.tasks.filling import guessed
from charter.tasks.language_model import some_of
from charter.tasks.replaced_token_detection import ReplacedTokenDetection
from charter.tasks.task import Task

FILLED, GUESSES, AROUND = 6, 3, 80
"""So many texts with a hidden token are shown, so many guesses each, so many characters on either side."""
WRITTEN, LONG = 3, 60
"""So many texts that the model writes, of at most so many tokens."""
ASKED, SEARCHED, SHOWN = 3, 200, 160
"""Of so many texts the nearest one is shown, among so many, the first so many characters of each."""


def language_examples(
    folder: Path, task: Task, rows: pl.DataFrame, columns: Columns, *, max_length: int, seed: int
) -> dict[str, Any] | None:
    """A few examples as JSON, of held-out rows, masked whatever the charter masks; None for a task that has none.

    folder: of the model. What is shown is drawn by the seed.

    Returns:
        {"seed"} and of a model that fills in "filled", each {before, hidden, after, guesses: [{text, probability}]}, and
        "alike", each {text, nearest, similarity}; of one that writes "written", each {text, seed, ended}; of one that tells
        replaced tokens "doubted", each {text, replaced: [{own, instead, probability}], accused: [{token, probability}]}.
    """
    if task.writes:
        return {"seed": seed, "written": _written(folder, task, max_length, seed)}
    if isinstance(task, ReplacedTokenDetection):
        return {"seed": seed, "doubted": _doubted(folder, task, rows, columns, max_length, seed)}
    if not task.fills:
        return None
    some = rows.sample(min(SEARCHED, rows.height), seed=seed, shuffle=True)
    texts: list[str] = masked_cells(some, columns.text)
    tokenizer = load_tokenizer(folder)
    filled = _filled(load_model(folder, task), tokenizer, texts[:FILLED], max_length, seed)
    return {"seed": seed, "filled": filled, "alike": _alike(folder, tokenizer, texts, max_length)}


def _filled(
    model: Any, tokenizer: Any, texts: Sequence[str], max_length: int, seed: int
) -> list[dict[str, Any]]:
    """Of each text one token is hidden that has letters."""
    encoded = encode_texts(texts, tokenizer, max_length, with_offsets=True)
    random = np.random.default_rng(seed)
    hidden, shown = [], []
    for text, ids, offsets in zip(texts, encoded.ids, encoded.offsets, strict=True):
        words = [at for at, (start, end) in enumerate(offsets) if text[start:end].strip().isalnum()]
        if not words:
            continue
        at = int(random.choice(words))
        start, end = (int(one) for one in offsets[at])
        start += len(text[start:end]) - len(text[start:end].lstrip())
        hidden.append(np.where(np.arange(len(ids)) == at, tokenizer.mask_token_id, ids))
        before, after = text[:start], text[end:]
        around = {
            "before": before if len(before) <= AROUND else f"…{before[-AROUND:]}",
            "after": _begun(after, AROUND),
        }
        shown.append({**around, "hidden": text[start:end]})
    told = guessed(model, tokenizer, hidden, most=GUESSES)
    return [
        {
            **one,
            "guesses": [{"text": guess.text, "probability": guess.probability} for guess in masks[0]],
        }
        for one, masks in zip(shown, told, strict=True)
    ]


def _doubted(
    folder: Path,
    task: ReplacedTokenDetection,
    rows: pl.DataFrame,
    columns: Columns,
    max_length: int,
    seed: int,
) -> list[dict[str, Any]]:
    """The first piece of some texts as the model read it, and how likely it found it that tokens were replaced.

    The generator that replaces them lies beside the model.
    """
    import torch

    some = rows.sample(min(FILLED, rows.height), seed=seed, shuffle=True)
    some = some.with_columns(pl.Series(columns.text, masked_cells(some, columns.text), dtype=pl.String))
    tokenizer = load_tokenizer(folder)
    model = task.rejoined(load_model(folder, task), folder.parent / "beside").eval()
    examples = task.examples(some, columns, tokenizer, min(max_length, LONG))
    made = []
    for at in range(len(examples)):
        batch = examples.batch(np.asarray([at]))
        with torch.inference_mode():
            told = task.doubted(model, some_of(batch, slice(0, 1)))
        likely = torch.sigmoid(told.doubts.float()).tolist()
        made.append(_shown(tokenizer, told.own[0].tolist(), told.corrupt[0].tolist(), likely))
    return made


def _shown(
    tokenizer: Any, own: Sequence[int], corrupt: Sequence[int], likely: Sequence[float]
) -> dict[str, Any]:
    """A text with its replaced tokens in brackets, and what was thought of these and of its own tokens."""
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    text, run = "", list[int]()
    replaced, accused = [], []
    for true, read, share in zip(own, corrupt, likely, strict=True):
        if true in special:
            continue
        if true == read:
            run.append(read)
            accused += [{"token": tokenizer.decode([read]).strip(), "probability": share}] * (share > 0.5)
            continue
        instead = tokenizer.decode([read]).strip()
        text = f"{_joined(text, tokenizer.decode(run))} [{instead}] "
        run = []
        replaced.append({"own": tokenizer.decode([true]).strip(), "instead": instead, "probability": share})
    return {"text": _joined(text, tokenizer.decode(run)).strip(), "replaced": replaced, "accused": accused}


def _joined(before: str, after: str) -> str:
    """Two parts of a text, of which WordPiece marks a second one that goes on with a word."""
    return before.rstrip() + after[2:] if after.startswith("##") else before + after


def _written(folder: Path, task: Task, max_length: int, seed: int) -> list[dict[str, Any]]:
    """Texts from their beginning on; masked too, since a model may say what it has learned by heart."""
    model, tokenizer = load_model(folder, task), load_tokenizer(folder)
    start, made = [int(tokenizer.eos_token_id)], []
    for number in range(WRITTEN):
        how = Settings(max_tokens=LONG, seed=seed + number)
        sampling = Sampling(how.temperature, how.top_p, no_text(model, tokenizer))
        tokens = tokens_after(model, start, window=max_length, sampling=sampling, seed=how.seed)
        parts = list(spoken(tokens, tokenizer, start, how))
        text = "".join(part.text for part in parts)
        made.append({"text": text, "seed": how.seed, "ended": parts[-1].ended})
    frame = pl.DataFrame({ROW: range(1, WRITTEN + 1), "text": [one["text"] for one in made]})
    masked = masked_cells(frame.cast({ROW: pl.Int64}), "text")
    return [{**one, "text": text} for one, text in zip(made, masked, strict=True)]


def _alike(folder: Path, tokenizer: Any, texts: Sequence[str], max_length: int) -> list[Mapping[str, Any]]:
    """The nearest text of the first few, by the cosine of the means of their tokens' last states."""
    encoded = encode_texts(texts, tokenizer, max_length)
    pad = int(tokenizer.pad_token_id)
    means = np.stack(predict_outputs(load_encoder(folder), _Means(), unlabelled(encoded.ids, pad)))
    vectors = means / np.linalg.norm(means, axis=1, keepdims=True).clip(min=1e-12)
    near = vectors[:ASKED] @ vectors.T
    np.fill_diagonal(near, -np.inf)
    if len(texts) < 2:
        return []
    return [
        {
            "text": _begun(texts[at], SHOWN),
            "nearest": _begun(texts[int(row.argmax())], SHOWN),
            "similarity": float(row.max()),
        }
        for at, row in enumerate(near)
    ]


def _begun(text: str, most: int) -> str:
    """The beginning of a text, marked where it goes on."""
    return text if len(text) <= most else f"{text[:most]}…"


@dataclass(frozen=True)
class _Means:
    """All of a task that answering asks for: of each text the mean of its tokens' last states."""

    def outputs(self, model: Any, batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """(width,) of each text."""
        del examples
        there = batch.inputs["attention_mask"].unsqueeze(-1).float()
        hidden = model(**batch.inputs).last_hidden_state.float() * there
        return list((hidden.sum(dim=1) / there.sum(dim=1)).cpu().numpy())
