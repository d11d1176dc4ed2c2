"""What is written: strict YAML 1.2, a comment on every key, and the same charter when read back."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from charter.spec import parse_document
from charter.spec.model import Charter
from charter.spec.use import Use
from charter.spec.writing import commented, written

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=140).filter(
    lambda word: not word.startswith("__") and "\n" not in word
)
ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=140)


def charter_of(**changes) -> Charter:
    value = {
        "name": "a",
        "purpose": {
            "intended_use": changes.get("use", "TO SAY: what the model is for, in a sentence of some length.")
        },
        "data": {
            "source": {"train": "a.csv", "test": "b.csv"},
            "inputs": {changes.get("text", "text"): "text"},
            "target": changes.get("target", "label"),
            "split": {"validation": 0.1, "seed": 3},
            "prepare": [{"use": "mask_pii", "locales": ["en"]}],
        },
        "model": {"base": "sample:minilm"},
        "task": {"use": "classification"},
        "limits": [{"limit": "recall[class=NO] >= 0.5", "judge": "point"}, "macro_f1 >= 0.5"],
        "report": {"language": "zh"},
    }
    return Charter.model_validate(value)


def outside_quotes(line: str) -> str:
    """The line with every double-quoted text put as Q, by its own rule, not by a YAML library."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', "Q", line)


@settings(max_examples=100, deadline=None)
@given(text=WORDS, target=WORDS, use=ANY, note=ANY)
def test_every_comment_has_a_space_before_it_and_every_line_is_allowed(text, target, use, note):
    form = commented(
        charter_of(text=text, target=target, use=use), {"data.target": note, "data.split.seed": note}
    )
    assert re.fullmatch(
        r"[\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*", form
    )
    for line in form.split("\n"):
        bare = outside_quotes(line)
        assert '"' not in bare.partition("#")[0], "a quote that does not close on its line"
        assert "#" not in bare or re.search(r"(^|\s)#( |$)", bare), line
    assert parse_document(form, Path("c.yaml"))


@settings(max_examples=100, deadline=None)
@given(text=WORDS, target=WORDS, use=ANY)
def test_both_forms_read_back_equal(text, target, use):
    charter = charter_of(text=text, target=target, use=use)
    for form in (written(charter), commented(charter, {})):
        assert Charter.model_validate(parse_document(form, Path("c.yaml")).value) == charter


def test_every_key_that_is_written_has_a_comment_beside_it_or_above():
    lines = commented(charter_of(), {}).split("\n")
    for at, line in enumerate(lines):
        key = re.fullmatch(r"(?P<indent> *)(?P<key>[a-z_]+):.*", line)
        if key is None or (key["key"] in ("text", "train", "test", "use") and " #" not in line):
            continue  # a column, a part, a plug-in: no key of the models
        assert " # " in line or lines[at - 1].startswith(f"{key['indent']}# "), line


def sections(model: type[BaseModel]):
    yield model
    for field in model.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Use:
            yield from sections(kind)


@pytest.mark.parametrize("section", list(sections(Charter)), ids=lambda one: one.__name__)
def test_every_key_of_the_models_says_what_it_means(section):
    assert [name for name, field in section.model_fields.items() if not field.description] == []
