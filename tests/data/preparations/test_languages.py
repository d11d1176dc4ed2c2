"""Languages are told by script or by the model; what is undecided stays; short texts are counted alike in every script."""

import polars as pl
import pytest
from pydantic import ValidationError

from charter import plugins
from charter.data.columns import PLACE, ROW, Columns
from charter.data.passes import prepare
from charter.data.preparation import prepare_again
from charter.data.preparations.languages import CODES, languages_of
from charter.data.words import words_of
from charter.errors import OptionError
from charter.spec.use import Use

COLUMNS = Columns(inputs={"text": "text"}, target="label")
ENGLISH = "the breakfast was cold and nobody at the desk wanted to help us"
GERMAN = "das Frühstück war kalt und niemand am Empfang wollte uns helfen"
CHINESE = "早餐是冷的，前台没有人愿意帮助我们"


def frame(texts) -> pl.DataFrame:
    columns = {ROW: range(1, len(texts) + 1), PLACE: "r", "text": texts, "label": "a"}
    return pl.DataFrame(columns, schema_overrides={ROW: pl.Int64})


def kept(texts, **options):
    return prepare(frame(texts), COLUMNS, [Use(use="keep_languages", **options)])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (ENGLISH.upper(), "en"),
        (GERMAN, "de"),
        (CHINESE, "zh"),
        ("環境很好，服務員態度也非常熱情", "zh"),
        ("朝食は冷たくて、誰も助けてくれませんでした", "ja"),
        ("아침 식사는 차가웠고 아무도 도와주지 않았다", "ko"),
        ("这家の奶茶真的很好喝，下次还会再来", "zh"),
        ("завтрак был холодный, и никто не хотел помочь", "ru"),
        ("ok", None),
        ("好", None),
        ("@guest https://example.org [EMAIL] 12345 !!!", None),
    ],
)
def test_the_language_of_a_text_is_told(text, language):
    assert languages_of(pl.Series([text]))["language"].to_list() == [language]


def test_only_what_is_in_another_language_goes_and_the_undecided_is_counted():
    out = kept([ENGLISH, GERMAN, CHINESE, "ok", "好", "12:30"], languages=["en"])
    assert out.frame[ROW].to_list() == [1, 4, 5, 6]
    assert out.dropped["reason"].to_list() == ["another language (de)", "another language (zh)"]
    assert out.counts == (("keep_languages", {"left: too short to tell its language": 3}),)


def test_several_languages_may_be_kept_and_a_dialect_stands_for_its_script():
    assert kept([ENGLISH, GERMAN, CHINESE], languages=["en", "yue"]).frame[ROW].to_list() == [1, 3]


def test_a_text_that_may_be_in_another_language_stays_unless_that_is_sure():
    mixed = "danke good morning und hello to the team"
    sure = kept([mixed], languages=["zh"], confidence=1.0)
    assert sure.frame.height == 1
    assert sure.counts == (("keep_languages", {"left: its language is not certain": 1}),)
    assert kept([mixed], languages=["zh"], confidence=0.0).frame.height == 0


def test_each_row_is_judged_alone():
    texts = [ENGLISH, GERMAN, CHINESE, "ok"] * 3
    whole = kept(texts, languages=["de"]).dropped
    alone = [kept([text], languages=["de"]).dropped.height for text in texts]
    assert whole.height == sum(alone) == 6


def test_words_of_a_list_are_one_text():
    rows = frame([GERMAN.split(), ENGLISH.split(), list(CHINESE)])
    out = prepare(rows, COLUMNS, [Use(use="keep_languages", languages=["en"])])
    assert out.frame[ROW].to_list() == [2]


def test_a_language_that_is_no_code_is_refused_with_the_right_one():
    with pytest.raises(ValidationError, match="Did you mean zh"):
        plugins.check_options("preparation", "keep_languages", {"languages": ["zh-CN"]})
    with pytest.raises(ValidationError, match="ISO 639-1"):
        plugins.check_options("preparation", "keep_languages", {"languages": ["english"]})


def test_every_code_is_one_that_the_model_tells():
    from charter.data.preparations.languages import _model

    labels: set[str] = set()
    for text in ("hello", "房间", "привет", "x y z"):
        labels |= {
            label.removeprefix("__label__") for label in _model().predict(text, k=200, threshold=-1.0)[0]
        }
    assert labels == CODES


def test_words_are_counted_as_unicode_bounds_them():
    texts = ["It's a well-kept room", "房间很好", "iPhone 很好", "カメラ", "...", "don’t", ""]
    assert words_of(pl.Series(texts)).to_list() == [5, 4, 3, 1, 0, 1, 0]


def test_short_texts_go_with_the_measure_that_they_fall_short_of():
    out = prepare(
        frame(["a fine room", "fine", "很好", "房间很好", "a b c"]),
        COLUMNS,
        [Use(use="drop_short", words=3, characters=4)],
    )
    assert out.frame[ROW].to_list() == [1, 4]
    assert out.dropped.select(ROW, "reason").rows() == [
        (2, "fewer than 3 words"),
        (3, "fewer than 3 words"),
        (5, "fewer than 4 characters"),
    ]


def test_a_length_must_be_given():
    with pytest.raises(OptionError, match="give words"):
        plugins.make("preparation", "drop_short", {})


def test_new_rows_are_filtered_too_with_the_reason():
    uses = [Use(use="keep_languages", languages=["en"]), Use(use="drop_short", words=2)]
    out = prepare_again(frame([ENGLISH, GERMAN, "fine"]), COLUMNS, uses)
    assert out.frame[ROW].to_list() == [1]
    assert set(out.dropped["reason"]) == {"another language (de)", "fewer than 2 words"}
