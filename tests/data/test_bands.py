"""Long texts in a large corpus: nearly all that are alike are found by bands of a sketch, and nothing that is not alike."""

import itertools
import random

import numpy as np
import pytest

from charter.data.aside import Texts
from charter.data.similarity import bands, grams, setjoin
from charter.data.similarity.alike import representatives
from charter.data.similarity.bands import BINS, MISSED, rows_of, sketched
from charter.data.similarity.grams import grams_of


def texts(count, seed=0):
    """Texts of 20 to 600 words, every third one a copy of the one before it with some words changed."""
    dice = random.Random(seed)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(4_000)]
    told = []
    for at in range(count):
        if at % 3 == 2:
            words_of = told[-1].split()
            for _ in range(max(1, len(words_of) // dice.choice((20, 30, 60, 200)))):
                words_of[dice.randrange(len(words_of))] = dice.choice(words)
            told.append(" ".join(words_of))
        else:
            told.append(" ".join(dice.choices(words, k=int(dice.lognormvariate(4.5, 0.8)) + 20)))
    return list(dict.fromkeys(told))


def joined(some, similarity):
    held = Texts()
    held.add(some)
    return setjoin.join(held, similarity)


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr(bands, "MANY", 1)


@pytest.mark.parametrize("similarity", [0.6, 0.8, 0.9])
def test_nearly_every_pair_of_the_exact_join_is_found_and_no_other(monkeypatch, similarity):
    some = texts(1_500)
    exact = joined(some, similarity)
    monkeypatch.setattr(bands, "MANY", 1)
    found = joined(some, similarity)
    assert exact.exact and not found.exact
    true, told = ({tuple(sorted(pair)) for pair in one.pairs.tolist()} for one in (exact, found))
    assert len(true) > 250 and told <= true
    assert len(true - told) <= 0.01 * len(true)


def test_short_texts_are_joined_exactly_among_many_long_ones(many):
    short = [f"a short note about the {word} of the day, number {at}" for at, word in enumerate("abcdefgh")]
    found = joined([*texts(300), *short, *(one + "!" for one in short)], 0.8)
    first = len(texts(300))
    pairs = {tuple(sorted(pair)) for pair in found.pairs.tolist()}
    assert {(first + at, first + 8 + at) for at in range(8)} <= pairs


def test_of_many_texts_of_one_mould_one_stays(many):
    page = texts(3)[0] + " " + " ".join(f"part{at}" for at in range(300))
    some = [f"{page} copy {at}" for at in range(400)]
    stays = representatives(joined(some, 0.8), 0.8, np.ones(len(some), dtype=bool)).stays
    assert stays.sum() == 1


def test_bins_agree_as_often_as_the_sets_are_alike():
    some = [one for one in texts(600, seed=4) if len(one) > 1_500]
    block = grams_of(some[:400])
    sketch = sketched(block, np.ones(len(block.sizes), dtype=bool))
    sets = [
        set(block.hashes[start : start + size]) for start, size in zip(block.begins, block.sizes, strict=True)
    ]
    apart = []
    for one, other in itertools.pairwise(range(len(sets))):
        true = len(sets[one] & sets[other]) / len(sets[one] | sets[other])
        apart.append(float((sketch[one] == sketch[other]).mean()) - true)
    assert len(apart) > 30
    assert abs(np.mean(apart)) < 0.01
    assert np.abs(apart).max() < 0.15


@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8, 0.95])
def test_bands_miss_a_pair_of_the_similarity_asked_for_no_more_often_than_is_said(similarity):
    rows = rows_of(similarity)
    assert (1 - similarity**rows) ** (BINS // rows) <= MISSED


def test_a_block_of_texts_is_bounded_in_bytes():
    told = list(grams.blocks_of(np.asarray([grams.BLOCK_BYTES * 2, 5, 5, grams.BLOCK_BYTES, 7])))
    assert told == [(0, 1), (1, 3), (3, 4), (4, 5)]
    assert [end - start for start, end in grams.blocks_of(np.ones(grams.BLOCK * 2 + 1, dtype=np.int64))] == [
        grams.BLOCK,
        grams.BLOCK,
        1,
    ]
