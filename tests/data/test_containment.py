"""Texts that hold another one inside of them."""

import random

import polars as pl

from charter.data.similarity.containment import Holding

WORDS = [f"w{number}" for number in range(400)]


def drawn(count, seed):
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def held(fixed, *texts):
    return Holding(pl.Series(fixed)).held_in(pl.Series(list(texts))).tolist()


def test_a_book_holds_the_passage_that_was_taken_from_it_and_no_other_book_does():
    passage, book = drawn(30, 1), drawn(5_000, 2)
    assert held([passage, drawn(20, 3)], f"{book} {passage.upper()}. {drawn(900, 4)}", book) == [True, False]


def test_a_passage_with_one_word_changed_is_held_and_half_of_it_is_not():
    words = drawn(60, 1).split()
    changed = " ".join([*words[:30], "other", *words[31:]])
    assert held([" ".join(words)], changed, " ".join(words[:30])) == [True, False]


def test_runs_of_two_passages_make_none_of_them():
    one, two = drawn(40, 1), drawn(40, 2)
    halves = " ".join([*one.split()[:20], *two.split()[20:]])
    assert held([one, two], halves, f"{one} x {two}") == [False, True]


def test_a_text_of_few_words_is_not_looked_for():
    short, long = drawn(12, 1), drawn(13, 2)
    assert held([short], f"{short} {drawn(50, 3)}") == [False]
    assert held([long, short], f"a {long} b") == [True]


def test_each_chinese_character_is_a_word():
    review = "房间很小但是服务态度非常好，下次还来住。"
    assert held([review], f"昨天到的。{review}早餐一般。", "房间很小，早餐一般，服务态度非常好") == [
        True,
        False,
    ]


def test_nothing_holds_nothing():
    assert held(["", "two words"], "two words", "") == [False, False]
    assert Holding(pl.Series(["x " * 20])).held_in(pl.Series([], dtype=pl.String)).tolist() == []
