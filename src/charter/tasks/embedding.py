"""Sentence embeddings: what the tasks share that train them. One vector of length 1 for each text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import Batch, Examples
from charter.data.columns import ROW, Columns, Form
from charter.data.text import encode_texts
from charter.errors import DataError
from charter.tasks.task import Head, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

Values = NDArray[np.float64]
SEARCH = ("recall_at_1", "recall_at_10", "mrr_at_10", "ndcg_at_10")
"""What is measured of finding a text by its vector (`retrieval.ranked`, in its order)."""


@dataclass(frozen=True)
class Embedding(Task):
    """Each input of a row is a text of its own. Outputs are vectors (inputs, dimensions) of length 1.

    A vector is the mean of the last hidden states over a text's tokens, special ones included, divided by its length
    (Reimers and Gurevych 2019, section 3).
    """

    @property
    def form(self) -> Form:
        """Texts that must all be there."""
        return Form(every_input=True)

    @property
    def head(self) -> Head:
        """None: the base itself is what is trained."""
        return Head("AutoModel", ("embedding",))

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Encode rows for the model, each input as a sequence of its own, in the inputs' order."""
        each = [encode_texts(rows[column].to_list(), tokenizer, max_length) for column in columns.inputs]
        targets = self.numbers(rows, columns) if with_targets else None
        return Examples(
            ids=tuple(ids for row in zip(*(one.ids for one in each), strict=True) for ids in row),
            targets=None if targets is None else targets.astype(np.float32),
            rows=rows[ROW].to_numpy(),
            truncated=sum(one.truncated for one in each),
            pad_id=int(tokenizer.pad_token_id),
            sizes=np.full(rows.height, len(each), dtype=np.int64),
        )

    def numbers(self, rows: pl.DataFrame, columns: Columns) -> Values | None:
        """(n,) what is learned besides the texts; None where nothing is."""
        del rows, columns
        return None

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The vectors (inputs, dimensions) of each row."""
        del examples
        assert batch.sizes is not None
        ends = np.cumsum(batch.sizes.cpu().numpy())
        return list(np.split(embedded(model, batch).cpu().numpy(), ends[:-1]))

    def asked(self, inputs: Mapping[str, str]) -> Mapping[str, str]:
        """One text at a time: the first input."""
        return dict(list(inputs.items())[:1])

    def decode(self, outputs: Any, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`embedding` of the first input, a list of numbers."""
        del rows, columns
        vectors = [np.asarray(one, dtype=np.float32)[0].tolist() for one in outputs]
        return pl.DataFrame({"embedding": pl.Series(vectors, dtype=pl.List(pl.Float32))})

    def companions(self, config: Any, max_length: int) -> Mapping[str, str]:
        """What sentence-transformers reads beside the model, so that it pools in the same way."""
        modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        files: dict[str, Any] = {
            "modules.json": [
                {
                    "idx": at,
                    "name": str(at),
                    "path": path,
                    "type": f"sentence_transformers.models.{name}",
                }
                for at, (path, name) in enumerate(modules)
            ],
            "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
            "1_Pooling/config.json": {
                "word_embedding_dimension": int(config.hidden_size),
                "pooling_mode_cls_token": False,
                "pooling_mode_mean_tokens": True,
                "pooling_mode_max_tokens": False,
                "pooling_mode_mean_sqrt_len_tokens": False,
            },
        }
        return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


def embedded(model: "nn.Module", batch: Batch) -> "Tensor":
    """(sequences, dimensions) a vector of length 1 for each sequence of a batch."""
    from torch.nn import functional as F

    states = model(**batch.inputs).last_hidden_state.float()
    mask = batch.inputs["attention_mask"].to(states.dtype)[..., None]
    return F.normalize((states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1), dim=-1)


def found_in_batch(
    texts: "Tensor", others: "Tensor", equal: "Tensor", temperature: float, beside: "Tensor | None" = None
) -> "Tensor":
    """How likely each text finds its own other among those of its batch, as cross-entropy, shape (batch,).

    InfoNCE with in-batch negatives (van den Oord et al. 2018; Henderson et al. 2017, section 4). It is one loss per
    example in shape only: each depends on every other example of the batch.

    texts, others: (batch, dimensions), of length 1. equal: (batch, batch) which others are also right, and so no negatives.
    beside: (m, dimensions) negatives of all.
    """
    import torch
    from torch.nn import functional as F

    own = torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    logits = (texts @ others.T / temperature).masked_fill(equal & ~own, -torch.inf)
    if beside is not None:
        logits = torch.cat([logits, texts @ beside.T / temperature], dim=1)
    return F.cross_entropy(logits, torch.arange(len(texts), device=texts.device), reduction="none")


def equal_texts(ids: "Tensor") -> "Tensor":
    """(n, n) which of some padded sequences are the same."""
    same: Tensor = (ids[:, None] == ids[None]).all(dim=-1)
    return same


def check_inputs(task: str, rows: pl.DataFrame, columns: Columns, accepted: Sequence[int], what: str) -> None:
    """Refuse rows whose inputs are no texts, or are not so many.

    Raises:
        DataError: with what is expected.
    """
    lists = [column for column in columns.inputs if rows.schema[column] != pl.String]
    if lists:
        raise DataError(f"task {task}: a text is expected, column '{lists[0]}' holds lists")
    if len(columns.inputs) not in accepted:
        raise DataError(f"task {task}: data.inputs names {len(columns.inputs)} column(s); {what}")
