"""Answers speak of the text as it was given, whatever preparation made of it, and leak nothing that was masked."""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from charter.data.batch import Examples
from charter.data.columns import ROW, Columns
from charter.serving.answers import Answerer
from charter.spec.use import Use
from charter.tasks.token_classification import ENTITIES, TokenClassification


@dataclass(frozen=True)
class CapitalWords(TokenClassification):
    """A task that takes every word with a capital for an entity, and every text of over 40 characters for a cut one."""

    def examples(self, rows, columns, tokenizer, max_length, *, with_targets=True):  # noqa: ARG002
        texts = rows[columns.text].to_list()
        ids = tuple(np.ones(2, dtype=np.int64) for _ in texts)
        cut = sum(len(text) > 40 for text in texts)
        return Examples(ids, None, rows[ROW].to_numpy(), cut, 0)

    def outputs(self, model, batch, examples):  # noqa: ARG002
        return [np.zeros((1, 1), dtype=np.float32) for _ in batch.index]

    def decode(self, outputs, rows, columns):  # noqa: ARG002
        found = [
            [
                {
                    "label": "X",
                    "start": one.start(),
                    "end": one.end(),
                    "text": one.group(),
                    "probability": 1.0,
                }
                for one in re.finditer(r"\[?[A-ZÄÖÜ]\w+\]?", text)
            ]
            for text in rows[columns.text]
        ]
        return pl.DataFrame({"entities": pl.Series(found, dtype=ENTITIES)})


def answerer():
    import torch

    uses = (Use(use="repair_text"), Use(use="mask_pii"))
    columns = Columns(inputs={"text": "text"})
    return Answerer(None, CapitalWords(), columns, uses, 64, torch.nn.Identity(), None)


def test_places_are_in_the_text_as_given_and_masked_values_stay_masked():
    texts = [
        "call 212-555-0198 &amp; ask Bob",
        "plain Ann",
        "  ",
        "in KÃ¶ln: Ã–sterreich, ann@x.org too and Ann",
    ]
    answers = answerer().answer_texts(texts)
    found = [
        [(text[one["start"] : one["end"]], one["text"]) for one in cell or ()]
        for text, cell in zip(texts, answers["entities"].to_list(), strict=True)
    ]
    assert found[0] == [("212-555-0198", "[PHONE]"), ("Bob", "Bob")]
    assert found[1] == [("Ann", "Ann")]
    assert found[3] == [
        ("KÃ¶ln", "Köln"),
        ("Ã–sterreich", "Österreich"),
        ("ann@x.org", "[EMAIL]"),
        ("Ann", "Ann"),
    ]
    assert answers["not_answered"].to_list() == [None, None, "no text is left", None]
    assert "0198" not in str(answers["entities"].to_list())


def test_cut_texts_are_counted_and_progress_is_told():
    from charter.serving.answers import text_rows

    told = []
    rows = text_rows(["x" * 50, "Ann", "y" * 41], Columns(inputs={"text": "text"}))
    answered = answerer().answer(rows, batch_size=2, on_batch=lambda done, total: told.append((done, total)))
    assert answered.truncated == 2
    assert told == [(2, 3), (3, 3)]


def test_nothing_but_empty_texts_is_answered_by_reasons():
    answers = answerer().answer_texts(["", " "])
    assert answers["not_answered"].to_list() == ["no text is left"] * 2
