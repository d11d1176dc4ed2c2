"""Written text: whole characters, exact stop words, whatever pieces the tokens are; and settings that can't be."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charter.errors import OptionError
from charter.models.tokenizers import bpe, characters, unigram, wordpiece
from charter.serving.generation import Settings, spoken

TEXTS = [
    "the room was very clean and the crew was kind, so we stayed again",
    "酒店房间很好服务很差，价格也不便宜",
    "naïve café — “quoted” words",
]
KINDS = {"bpe": bpe, "characters": characters, "unigram": unigram, "wordpiece": wordpiece}


def tokenizer_of(kind, size=340):
    return KINDS[kind](size=size).learn(lambda: TEXTS * 3, True)


@pytest.fixture(scope="module")
def bytes_only():
    """Byte pairs with hardly a pair learned: every Chinese character is three tokens."""
    return bpe(size=257).learn(lambda: ["aa"], True)


def parts_of(tokenizer, text, *, before="", count=10_000, stop=()):
    start = [tokenizer.eos_token_id, *tokenizer(before)["input_ids"]]
    tokens = iter([*tokenizer(text)["input_ids"], tokenizer.eos_token_id])
    return list(spoken(tokens, tokenizer, start, Settings(max_tokens=count, stop=tuple(stop))))


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_parts_of_a_text_make_the_text_of_all_its_tokens(kind):
    tokenizer = tokenizer_of(kind)
    for text in TEXTS:
        parts = parts_of(tokenizer, text)
        whole = tokenizer.backend_tokenizer.decode(tokenizer(text)["input_ids"])
        assert "".join(one.text for one in parts) == whole
        assert len(parts) > 3 and parts[-1].ended == "end of text"
        assert all(one.ended is None for one in parts[:-1])


def test_a_words_space_is_kept_where_it_goes_on_from_another():
    tokenizer = tokenizer_of("unigram")
    told = "".join(one.text for one in parts_of(tokenizer, "was clean", before="the room"))
    assert told == " was clean"


def test_a_character_of_several_tokens_is_given_whole_or_not_at_all(bytes_only):
    text = "很好 é"
    assert [one.text for one in parts_of(bytes_only, text)] == [*text, ""]
    for count, expected in ((2, ""), (3, "很"), (5, "很"), (7, "很好 "), (8, "很好 ")):
        parts = parts_of(bytes_only, text, count=count)
        assert "".join(one.text for one in parts) == expected
        assert parts[-1].ended == "max_tokens" and parts[-1].tokens == count


def until(text, stop):
    """Read character by character, a text ends where a stop word is whole."""
    for end in range(1, len(text) + 1):
        found = [word for word in stop if text[:end].endswith(word)]
        if found:
            return text[: end - len(max(found, key=len))], True
    return text, False


@hypothesis_settings(deadline=None)
@given(
    st.text(alphabet="ab很好", max_size=30),
    st.lists(st.text(alphabet="ab很好", min_size=1, max_size=4), max_size=3),
)
def test_a_stop_word_is_cut_exactly_wherever_tokens_end(bytes_only, text, stop):
    expected, stopped = until(text, stop)
    for tokenizer in (bytes_only, *(_pairs(),)):
        parts = parts_of(tokenizer, text, stop=stop)
        assert "".join(one.text for one in parts) == expected
        assert (parts[-1].ended == "stop word") == stopped


def _pairs():
    if not hasattr(_pairs, "made"):
        _pairs.made = bpe(size=330).learn(lambda: ["abab", "ba很好", "好很ab", "aabb很很"] * 9, True)
    return _pairs.made


def test_text_that_only_begins_like_a_stop_word_is_given(bytes_only):
    parts = parts_of(bytes_only, "abcabd", stop=["abd", "abcx"])
    assert "".join(one.text for one in parts) == "abc"
    parts = parts_of(bytes_only, "xyab", stop=["abd"])
    assert "".join(one.text for one in parts) == "xyab" and parts[0].text == "x"


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"temperature": 0.0001},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"seed": -1},
        {"stop": ("",)},
        {"stop": "word"},
    ],
)
def test_settings_that_can_not_be_are_refused(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Settings(**wrong)
