"""Damage is mended, what was meant stays as it was, and labels that differ stay apart."""

import polars as pl
import pytest

from charter.data.columns import PLACE, ROW, Columns
from charter.data.passes import prepare
from charter.spec.use import Use

COLUMNS = Columns(inputs={"text": "text"}, target="label")


def prepared(cells, use, labels=None, **options):
    columns = {ROW: range(1, len(cells) + 1), PLACE: ["row"] * len(cells), "text": cells}
    frame = pl.DataFrame({**columns, "label": labels or ["a"] * len(cells)}, schema_overrides={ROW: pl.Int64})
    return prepare(frame, COLUMNS, [Use(use=use, **options)])


def repaired(text: str) -> str:
    return prepared([text, "ok"], "repair_text").frame["text"][0]


def misread(text: str, as_encoding: str, was: str = "utf-8") -> str:
    return text.encode(was).decode(as_encoding)


def test_damage_is_repaired_and_what_was_meant_stays():
    texts = ["schÃ¶n", "a &amp; b", "one\rtwo", "bell\x07", "房间：很好！“真的”", "1 < 2 & ok"]
    out = prepared(texts, "repair_text").frame["text"].to_list()
    assert out == ["schön", "a & b", "one\ntwo", "bell", "房间：很好！“真的”", "1 < 2 & ok"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "Привет"), ("Å“uvre", "œuvre"), ("Ä°stanbul", "İstanbul"), ("Î±", "α"), ("donâ€™t", "don’t"),
     ("don‚Äôt", "don’t"), ("â‚¬5", "€5"), ("æˆ¿é—´å¾ˆå¥½", "房间很好")],
)  # fmt: skip
def test_common_mojibake_is_mended(text, expected):
    assert repaired(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "房间很好",
        "你好，世界",
        "Привет, мир",
        "Viá»‡t",
        "日本語",
        "한국어",
        "שלום",
        "مرحبا",
        "हिन्दी",
        "Ελλάδα",
        "łódź",
        "😀",
    ],
)
def test_utf8_that_was_read_as_latin_1_is_mended(text):
    assert repaired(misread(text, "latin-1")) == repaired(text)


def test_utf8_that_was_read_as_windows_1251_is_mended():
    assert repaired(misread("Привет", "cp1251")) == "Привет"


@pytest.mark.parametrize(
    "text", ["房间很好", "中国人民银行", "酒店的服务很好，下次还会来。", "苹果iPhone的价格：100元"]
)
def test_gb_2312_that_was_read_as_latin_1_is_mended_where_it_can_be_told(text):
    assert repaired(misread(text, "latin-1", "gb2312")) == text


@pytest.mark.parametrize(
    "text",
    ["À l'œuvre « déjà vu » — ça coûte 5 €, n°3", "Ã", "Ã alone", "São Paulo: AÇÃO, NÃO! “CORAÇÃO” – NÃO…", "Größe: „Ärger“ – Übermaß…",
     "Tiếng Việt: Đường phố Hà Nội, ĐẸP LẮM!", "👨\u200d👩\u200d👧\u200d👦 family", "می\u200cخواهم",
     "क्\u200dष", "ＡＢＣ：房间很好！“真的”……",
     "Русский текст: «Привет», — сказал он. №5", "Україна: її «мова», ґанок", "¿Qué tal? ¡Muy bien!", "Ελληνικά: «καλημέρα»",
     "ÄÖÜäöüß", "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×", "ÉÈÊË", "30 Å² ± 2 Å³, 25°C, E = mc²", "Çok güzel İstanbul’da",
     "if (a && b) { x['é'] = \"\\u00e9\"; }",
     "caffè… perché… città…", "DÉJÀ®", "ÄãºÃ", "ÖÐ¹ú", "日本語「テスト」"],
)  # fmt: skip
def test_text_that_is_whole_stays(text):
    assert repaired(text) == text


def test_terminal_escapes_go_whole_and_are_counted():
    out = prepared(["\x1b[31mred\x1b[0m", "\x1b]0;title\x07text", "a\x1bb [31m]"], "repair_text")
    assert out.frame["text"].to_list() == ["red", "text", "ab [31m]"]
    assert dict(out.counts)["repair_text"] == {"terminal escapes": 2, "control characters": 1}


def test_words_keep_their_number_when_repaired():
    out = prepared([["schÃ¶n", "\x07", "\x1b[1mb"], ["ok"]], "repair_text").frame["text"].to_list()
    assert out == [["schön", "\x07", "b"], ["ok"]]


def test_labels_are_tidied_and_merges_are_counted_by_kind():
    labels = [
        "ＰＯＳ",
        "POS",
        " POS",
        "pos",
        "neg  ative",
        "neg\u3000ative",
        "x²",
        "x2",
        "①",
        "1",
        "ﬁt",
        "fit",
        "½",
    ]
    out = prepared(["t"] * len(labels), "normalise_label", labels)
    assert out.frame["label"].to_list() == ["POS"] * 4 + ["neg ative"] * 2 + labels[6:]
    assert dict(out.counts)["normalise_label"] == {
        "labels changed: full-width signs": 1,
        "labels merged: full-width signs": 1,
        "labels changed: spaces": 3,
        "labels merged: spaces": 2,
        "labels changed: case": 1,
        "labels merged: case": 1,
        "labels changed": 5,
    }


def test_case_is_kept_when_asked():
    out = prepared(["t"] * 3, "normalise_label", ["A", "a", "Ａ"], fold_case=False)
    assert out.frame["label"].to_list() == ["A", "a", "A"]
