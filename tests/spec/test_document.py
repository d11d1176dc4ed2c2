"""The YAML traps, and that nothing at all ends in a traceback."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.errors import CharterFileError, DataError
from charter.spec import at_its_line, check, parse_document, read, written

VALID = """\
name: a
data: {source: "sample:tweets", inputs: {text: text}, target: sentiment}
model: {base: "sample:minilm"}
task: {use: classification}
limits: [macro_f1 >= 0.5]
"""
HERE = Path("charter.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("NO", "NO"), ("on", "on"), ("yes", "yes"), ("true", True), ("12:30", "12:30"), ("~", None),
        ("2026-11-24", "2026-11-24"), ("0x10", 16), ("0o17", 15), ("017", 17), (".5", 0.5), ('"1"', "1"), ("1_000", "1_000"),
        ("北京", "北京"), ("!!str 5", "5"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_rules_of_yaml_1_2(text, value):
    found = parse_document(f"key: {text}\n", HERE).value["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"), ("# only a comment", 1, "empty"), ("- a\n- b", 1, "a list"), ("text", 1, "a single value"),
        ("a: 1\nb: 2\na: 3", 3, "twice"), ("a: [1, 2", 1, "not YAML"), ("a: 1\n\tb: 2", 2, "YAML"), ("a: .inf", 1, "infinity"),
        ("a: 1\n---\nb: 2", 2, "second document"), ("a: &x [*x]", 1, "alias"), ("a: !!python/name:os.system x", 1, "tag"),
        ("a: \x00", 1, "character"), ("? [1]\n: 2", 1, "a key is a word"), ("<<: {a: 1}", 1, "merge"),
    ],
)  # fmt: skip
def test_every_trap_is_refused_with_its_line(text, line, said):
    with pytest.raises(CharterFileError) as caught:
        parse_document(text, HERE)
    problem = caught.value.problems[0]
    assert said in problem.message
    assert problem.line == line


def test_a_bomb_of_aliases_is_refused_quickly():
    text = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(CharterFileError, match="values"):
        parse_document(text, HERE)


def test_deep_nesting_is_refused():
    with pytest.raises(CharterFileError):
        parse_document("a: " + "[" * 5000, HERE)


@pytest.mark.parametrize("content", [b"\xff\xfea", b"name: \xe4\xbd", b"\x00" * 10])
def test_a_file_that_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "charter.yaml"
    path.write_bytes(content)
    with pytest.raises(CharterFileError):
        read(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(CharterFileError):
            read(path)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), st.text(alphabet="ab:-[]{}&*!|>'\"#%@` \n\t0.,?~<", max_size=200)))
def test_no_text_ends_in_anything_but_a_charter_or_problems(text):
    with contextlib.suppress(CharterFileError):
        check(parse_document(text, HERE))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_to_a_valid_charter_ends_in_a_traceback(data):
    lines = VALID.split("\n")
    at = data.draw(st.integers(0, len(VALID)))
    junk = data.draw(st.text(alphabet="ab:-[]{}&*!|'\"#, \n0.5~", max_size=6))
    cut = data.draw(st.integers(0, 12))
    assert lines
    with contextlib.suppress(CharterFileError):
        check(parse_document(VALID[:at] + junk + VALID[at + cut :], HERE))


def test_the_valid_charter_is_valid_and_written_reads_back_equal():
    charter = check(parse_document(VALID, HERE))
    assert check(parse_document(written(charter), HERE)) == charter


def test_an_error_about_a_key_is_said_with_its_line_and_without_where_the_file_is_gone(tmp_path):
    path = tmp_path / "charter.yaml"
    path.write_text("name: a\nprivacy:\n  epsilon: 8\n", encoding="utf-8")
    for key, line in ((("privacy", "epsilon"), 3), (("privacy", "bands"), 2), (("data",), 1)):
        with pytest.raises(DataError) as refused, at_its_line(path):
            raise DataError("too much").about(*key)
        assert str(refused.value) == f"{path}:{line}  {'.'.join(key)}: too much"
    with pytest.raises(DataError) as refused, at_its_line(path):
        raise DataError("of no key")
    assert str(refused.value) == "of no key"
    with pytest.raises(DataError) as refused, at_its_line(tmp_path / "gone.yaml"):
        raise DataError("too much").about("privacy", "epsilon")
    assert str(refused.value) == "privacy.epsilon: too much"
