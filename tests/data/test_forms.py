"""Targets in the form that their task asks for, several inputs, and rows that have neither, rejected with the reason."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from charter.data.columns import TARGET, Columns, Form
from charter.data.passes import prepare
from charter.data.preparations.repair import normalise_label
from charter.data.reading import read_source
from charter.data.rows import Rows
from charter.data.split import divide
from charter.data.text import encode_rows
from charter.errors import DataError
from charter.models.base import load_tokenizer
from charter.spec.data import Data, Split
from charter.spec.use import Use


def read(folder: Path, text: str, target, form: Form, inputs=("text",), name="rows.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    data = Data(source=name, inputs=dict.fromkeys(inputs, "text"), target=target)
    return read_source(data, folder, columns=Columns.of(data, form))


def reasons(found) -> dict[str, int]:
    return dict(found.rejects["reason"].value_counts().iter_rows())


def test_numbers_are_read_as_numbers_and_anything_else_is_rejected(tmp_path):
    found = read(tmp_path, "text,score\na,1.5\nb, 2 \nc,many\nd,\ne,nan\nf,inf\n", "score", Form("number"))
    assert found.frame["score"].to_list() == [1.5, 2.0]
    assert reasons(found) == {"no number in column 'score'": 4}


def test_labels_in_one_text_are_parted_and_an_empty_cell_is_a_row_without_any(tmp_path):
    found = read(tmp_path, "text,tags\na,x| y |x\nb,\nc,z\n", "tags", Form("labels", "|"))
    assert found.frame["tags"].to_list() == [["x", "y"], [], ["z"]]
    assert found.rejects.height == 0


def test_lists_of_labels_are_kept_and_a_missing_one_is_rejected(tmp_path):
    lines = '{"text": "a", "tags": ["x", "y"]}\n{"text": "b", "tags": []}\n{"text": "c", "tags": null}\n'
    found = read(tmp_path, lines, "tags", Form("labels"), name="rows.jsonl")
    assert found.frame["tags"].to_list() == [["x", "y"], []]
    assert reasons(found) == {"no target in column 'tags'": 1}


def test_columns_of_0_and_1_become_one_list_of_their_names(tmp_path):
    text = "text,toxic,insult\na,1,0\nb,0,0\nc,1,1\nd,2,0\ne,,1\n"
    found = read(tmp_path, text, ("toxic", "insult"), Form("labels"))
    assert found.frame[TARGET].to_list() == [["toxic"], [], ["toxic", "insult"]]
    assert reasons(found) == {"neither 0 nor 1 in one of the target's 2 columns": 2}
    assert "toxic" not in found.frame.columns


def test_labels_without_a_separator_say_how_they_could_be_told_apart(tmp_path):
    with pytest.raises(DataError, match="separator"):
        read(tmp_path, "text,tags\na,x|y\n", "tags", Form("labels"))


def test_of_several_inputs_one_may_be_missing_unless_each_is_needed(tmp_path):
    text = "title,body,label\nt,b,x\n,b,y\nt,,x\n,,y\n"
    found = read(tmp_path, text, "label", Form(), inputs=("title", "body"))
    assert found.frame.select("title", "body").rows() == [("t", "b"), ("", "b"), ("t", "")]
    assert reasons(found) == {"no text in columns 'title', 'body'": 1}
    found = read(tmp_path, text, "label", Form("label", every_input=True), inputs=("title", "body"))
    assert found.frame.height == 1
    assert reasons(found) == {"no text in column 'title'": 2, "no text in column 'body'": 1}


def test_labels_of_a_list_are_tidied_one_by_one():
    rows = pl.DataFrame(
        {"_row": [1, 2, 3], "text": ["a", "b", "c"], "tags": [["Joy", "joy "], [], ["joy", "Fear"]]}
    )
    outcome = normalise_label().apply(rows, Columns({"text": "text"}, "tags", form=Form("labels")))
    assert outcome.frame["tags"].to_list() == [["joy"], [], ["joy", "Fear"]]


def test_rows_are_equal_only_when_all_inputs_are():
    rows = pl.DataFrame(
        {"_row": [1, 2, 3], "a": ["x", "x", "x"], "b": ["y", "z", "y"], "label": ["l", "l", "l"]}
    )
    columns = Columns({"a": "text", "b": "text"}, "label")
    done = prepare(rows, columns, [Use(use="drop_exact_duplicates")])
    assert done.frame["_row"].to_list() == [1, 2]


@pytest.mark.parametrize("form", [Form("number"), Form("labels")])
def test_a_split_keeps_the_balance_of_numbers_and_of_rare_labels(form):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 30)) for _ in range(400)]
    numbers = rng.exponential(size=400)
    labels = [["rare"] if one < 20 else ["common"] for one in range(400)]
    target = pl.Series(labels) if form.target == "labels" else pl.Series(numbers)
    rows = pl.DataFrame({"_row": range(400), "text": texts, "t": target})
    columns = Columns({"text": "text"}, "t", form=form)
    divided = divide(Rows.of(rows), columns, Split(test=0.2)).rows.collect()
    test = divided.filter(pl.col("_split") == "test")
    if form.target == "labels":
        assert test["t"].list.contains("rare").sum() == 4
    else:
        assert test["t"].median() == pytest.approx(np.median(numbers), rel=0.15)


def test_a_pair_is_encoded_as_the_base_was_pre_trained_on_pairs(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    rows = pl.DataFrame(
        {"a": ["the room", "we found it so warm and clean again"], "b": ["was cold", "my seat"]}
    )
    found = encode_rows(rows, Columns({"a": "text", "b": "text"}), tokenizer, 9)
    expected = tokenizer(rows["a"].to_list(), rows["b"].to_list(), truncation="longest_first", max_length=9)
    assert [one.tolist() for one in found.ids] == expected["input_ids"]
    assert [one.tolist() for one in found.types] == expected["token_type_ids"]
    assert found.truncated == 1


def test_three_inputs_stand_in_their_order_and_the_longest_is_cut(tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    rows = pl.DataFrame({"a": ["the room"], "b": ["we found it so warm and clean again"], "c": ["my seat"]})
    columns = Columns({"c": "text", "a": "text", "b": "text"})
    whole = encode_rows(rows, columns, tokenizer, 32)
    assert (
        tokenizer.decode(whole.ids[0])
        == "[CLS] my seat [SEP] the room [SEP] we found it so warm and clean again [SEP]"
    )
    joined = tokenizer.sep_token.join(rows[column][0] for column in columns.inputs)
    assert whole.ids[0].tolist() == tokenizer(joined)["input_ids"], "as the card tells plain transformers to"
    cut = encode_rows(rows, columns, tokenizer, 12)
    assert tokenizer.decode(cut.ids[0]) == "[CLS] my seat [SEP] the room [SEP] we found it so [SEP]"
    assert (whole.truncated, cut.truncated) == (0, 1)


def test_a_base_without_token_types_gets_none(tiny_bert, tmp_path):
    import json
    import shutil

    folder = tmp_path / "plain"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "type_vocab_size": 1}))
    rows = pl.DataFrame({"a": ["the room"], "b": ["was cold"]})
    assert encode_rows(rows, Columns({"a": "text", "b": "text"}), load_tokenizer(folder), 16).types is None
