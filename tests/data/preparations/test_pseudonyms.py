"""Pseudonyms: one value, one pseudonym, under one key; no key is made, shown or accepted carelessly."""

import stat

import polars as pl
import pytest

from charter.data.columns import PLACE, ROW, Columns
from charter.data.passes import prepare
from charter.data.preparations.pii import check_key_outside, mask_pii
from charter.data.preparations.pseudonyms import canonical, fingerprint, make_key, pseudonyms, read_key
from charter.errors import DataError, OptionError
from charter.spec.use import Use


def masked(cells, key):
    rows = {ROW: range(1, len(cells) + 1), PLACE: [f"row {i}" for i in range(len(cells))], "text": cells}
    frame = pl.DataFrame({**rows, "label": ["a"] * len(cells)}, schema_overrides={ROW: pl.Int64})
    uses = [Use(use="mask_pii", replace="pseudonym", key=str(key))]
    return prepare(frame, Columns({"text": "text"}, "label"), uses).frame["text"].to_list()


def test_one_value_has_one_pseudonym_under_one_key_and_another_under_another(tmp_path):
    one, other = make_key(tmp_path / "one"), make_key(tmp_path / "other")
    texts = ["write ann@x.org", "ANN@x.org again", "bob@x.org", "电话13812345678，", "+86 138 1234 5678"]
    first, again, different, mobile, spaced = masked(texts, one)
    assert first.removeprefix("write ") == again.removesuffix(" again") != different
    assert mobile.removeprefix("电话").removesuffix("，") == spaced
    assert masked(texts, one) == [first, again, different, mobile, spaced]
    assert not set(masked(texts, other)) & {first, again, different, mobile, spaced}
    assert "ann" not in first.lower() and first.startswith("write [EMAIL-")


def test_what_is_masked_stays_as_it_is(tmp_path):
    key = make_key(tmp_path / "one")
    once = masked(["write ann@x.org and 13812345678 [PERSON-0123456789]"], key)
    assert masked(once, key) == once and once[0].endswith("[PERSON-0123456789]")


def test_a_key_is_its_owners_alone_and_never_written_over(tmp_path):
    path = make_key(tmp_path / "key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    with pytest.raises(OptionError, match="is there already"):
        make_key(path)
    assert path.read_text() == before
    path.chmod(0o640)
    with pytest.raises(OptionError, match="mode 0640"):
        read_key(path)


@pytest.mark.parametrize("text", ["", "secret", "0" * 63 + "\n", "0" * 66])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path, text):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(OptionError) as error:
        read_key(path)
    assert "is no key" in str(error.value) and (not text or text.strip() not in str(error.value))


def test_a_missing_key_is_never_made_silently(tmp_path):
    with pytest.raises(OptionError, match="charter pseudonym-key"):
        masked(["ann@x.org"], tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_a_key_in_the_store_is_refused(tmp_path):
    with pytest.raises(DataError, match="lies in the store"):
        check_key_outside("runs/key", tmp_path, tmp_path / "runs")
    check_key_outside("keys/key", tmp_path, tmp_path / "runs")


def test_options_go_together():
    for options in ({"replace": "pseudonym"}, {"key": "k"}, {"labels": {"PER": "PERSON"}}, {"engine": "none"},
                    {"engine": "bundle"}, {"model": "m", "engine": "presidio"}, {"engine_model": "m"}):  # fmt: skip
        with pytest.raises(OptionError):
            mask_pii(**options)


def test_another_key_is_another_artefact_whose_name_tells_nothing_of_it(tmp_path):
    one, other = read_key(make_key(tmp_path / "one")), read_key(make_key(tmp_path / "other"))
    assert fingerprint(one) != fingerprint(other) and one.hex() not in fingerprint(one)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [("PERSON", "Ann  LEE", "ann lee"), ("PERSON", "张 三", "张三"), ("CARD", "4111-1111 1111 1111", "4111111111111111"),
     ("CN_PLATE", "京A·12345", "京a12345"), ("CN_MOBILE", "+8613812345678", "138-1234-5678"), ("ADDRESS", "１２ Main St", "12 main st")],
)  # fmt: skip
def test_spellings_of_one_value_are_one(kind, one, other):
    assert canonical(kind, one) == canonical(kind, other)


def test_kinds_are_told_apart():
    shown = pseudonyms(b"0" * 32)
    assert shown("PERSON", "Paris") != shown("LOCATION", "Paris").replace("LOCATION", "PERSON")


def test_a_folder_that_is_missing_is_made_for_the_keys_owner_alone(tmp_path):
    path = make_key(tmp_path / "keys" / "notes.key")
    assert len(read_key(path)) == 32
    assert path.parent.stat().st_mode & 0o077 == 0
