"""Pieces of documents and blocks of several: what stands in them, and that all of it is there or nothing."""

import itertools
import pickle

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.data import pieces as module
from charter.data.columns import ROW, Columns
from charter.data.pieces import Blocks, Frame, found_pieces, write_pieces
from charter.models.base import load_tokenizer

CLS, SEP = np.asarray([1]), np.asarray([2])
documents = st.lists(st.lists(st.integers(10, 99), max_size=30), max_size=12)


def blocks_of(cut, some):
    told = [block for ids in some for block in cut(np.asarray(ids, dtype=np.int64))]
    return told, list(cut.rest())


@given(documents, st.integers(2, 20))
def test_blocks_that_run_on_hold_each_token_once_as_a_target_in_exactly_so_many_tokens(some, length):
    full, rest = blocks_of(Blocks.run_on(0, length), some)
    assert all(len(block) == length for block in full)
    assert len(rest) <= 1 and all(2 <= len(block) < length for block in rest)
    stream = [0, *(token for ids in some for token in (*ids, 0))]
    blocks = [*full, *rest]
    assert [token for block in blocks for token in block[1:].tolist()] == stream[1:]
    assert all(before[-1] == after[0] for before, after in itertools.pairwise(blocks))


@given(documents, st.integers(3, 20))
def test_blocks_of_texts_are_framed_and_hold_documents_with_their_separators_once(some, length):
    full, rest = blocks_of(Blocks.of_texts(Frame(CLS, SEP, length - 2)), some)
    assert all(len(block) == length for block in full)
    blocks = [*full, *rest]
    assert all(block[0] == 1 and block[-1] == 2 for block in blocks)
    stream = [token for ids in some for token in (*ids, 2)]
    assert [token for block in blocks for token in block[1:-1].tolist()] == stream


ROWS = pl.DataFrame(
    {ROW: [3, 5, 9], "text": ["clean rooms and kind crews", "rude", "the meal was cold today"]}
)
COLUMNS = Columns(inputs={"text": "text"})


@pytest.fixture
def written(tiny_bert, tmp_path):
    tokenizer = load_tokenizer(tiny_bert)
    return write_pieces(tmp_path / "pieces", [ROWS], COLUMNS, tokenizer, Frame.of(tokenizer, 5).pieces)


def test_pieces_come_back_as_they_were_and_travel_by_their_folder(written, tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    whole = [
        piece.tolist()
        for ids in module.documents_encoded(ROWS["text"].to_list(), tokenizer)
        for piece in Frame.of(tokenizer, 5).pieces(ids)
    ]
    again = pickle.loads(pickle.dumps(written))
    assert [again[at].tolist() for at in range(len(again))] == whole
    assert set(written.rows) == {3, 5, 9}
    counts = np.bincount(np.concatenate(whole), minlength=len(tokenizer))
    assert (written.counts(len(tokenizer)) == counts).all()


def test_tokens_of_some_kind_are_counted_by_piece(written, tiny_bert, monkeypatch):
    tokenizer = load_tokenizer(tiny_bert)
    special = np.zeros(len(tokenizer), dtype=bool)
    special[tokenizer.all_special_ids] = True
    monkeypatch.setattr(module, "AT_ONCE", 7)
    assert written.among(special).tolist() == [2] * len(written)
    assert written.among(~special).tolist() == [len(written[at]) - 2 for at in range(len(written))]


@pytest.mark.parametrize("harm", ["missing", "short", "rows"])
def test_pieces_of_which_a_part_is_missing_are_not_found(written, harm):
    folder = written.folder
    if harm == "missing":
        (folder / "pieces.json").unlink()
    if harm == "short":
        content = (folder / "ids.bin").read_bytes()
        (folder / "ids.bin").write_bytes(content[:-2])
    if harm == "rows":
        (folder / "rows.bin").write_bytes((folder / "rows.bin").read_bytes()[:-8])
    assert found_pieces(folder) is None


def test_pieces_that_are_written_again_are_not_found_until_all_are(written, tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)

    def stops():
        yield ROWS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pieces(written.folder, stops(), COLUMNS, tokenizer, Frame.of(tokenizer, 5).pieces)
    assert found_pieces(written.folder) is None
