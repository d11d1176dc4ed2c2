"""No charter file of whatever shape ends in anything but a charter or problems; each problem has a line of the file."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from charter.errors import CharterFileError
from charter.spec import Checked, check_with_notes, parse_document
from charter.spec.model import Charter

HERE = Path("charter.yaml")
WORDS = st.sampled_from(
    ["", "a", "text", "label", "yes", "true", "1", "TO SAY: x", "sample:minilm", "sample:tweets", "none.csv", "a\0b", "~x/y",
     "sql:sqlite:///none.db#t", "sql:${NONE}#t", "sql:x://a:b@c/d?e#f", "..", "src/", "x.xlsx#a", "x.zip", "select 1 order by 1",
     "classification", "performance", "mask_pii", "macro_f1 >= 0.5", "recall[class=*] >= 2", "high", "class", "__x", "北京"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-(10**80), 10**80) | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text(
    st.characters(exclude_categories=("Cs",)), max_size=8
)  # fmt: skip
OPTIONS = [
    "use",
    "locales",
    "urls",
    "similarity",
    "rank",
    "layers",
    "resamples",
    "minimum_n",
    "confidence",
    "bins",
    "path",
    "url",
    "table",
    "query",
    "order_by",
    "pattern",
    "sheet",
    "header",
    "source",
    "on",
    "columns",
    "unmatched",
]
KEYS = st.sampled_from(
    [*Charter.model_fields, *Charter.model_fields["data"].annotation.model_fields, *OPTIONS, "limit", "judge"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | WORDS, inner, max_size=4),
    max_leaves=8,
)
PLUG_INS = st.sampled_from(
    ["repair_text", "normalise_label", "mask_pii", "drop_exact_duplicates", "drop_near_duplicates", "full", "lora",
     "classification", "token_classification", "performance", "calibration", "regression", "nothing"]
)  # fmt: skip
USES = st.builds(
    lambda name, options: {**options, "use": name},
    PLUG_INS,
    st.dictionaries(KEYS | WORDS, VALUES, max_size=3),
)
VALID = {
    "name": "a",
    "data": {"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"},
    "model": {"base": "sample:minilm"},
    "task": {"use": "classification"},
    "limits": ["macro_f1 >= 0.5"],
}


def outcome(value) -> Checked | None:
    """What check makes of a value; problems must stand on a line of the file and be printable."""
    text = json.dumps(value, indent=1)
    try:
        return check_with_notes(parse_document(text, HERE))
    except CharterFileError as error:
        lines = text.count("\n") + 1
        assert error.problems
        assert all(1 <= one.line <= lines and one.message.strip() for one in error.problems)
        assert str(error).encode("utf-8")
        return None


def changed(value, path, new):
    """A copy of nested dicts with something put at a path."""
    if not path:
        return new
    below = value.get(path[0], {}) if isinstance(value, dict) else {}
    return {**(value if isinstance(value, dict) else {}), path[0]: changed(below, path[1:], new)}


PATHS = st.sampled_from(
    [(), *((key,) for key in Charter.model_fields)]
    + [
        (part, key)
        for part in ("purpose", "data", "model", "training", "release", "report")
        for key in Charter.model_fields[part].annotation.model_fields
    ]
    + [("data", "split", key) for key in ("test", "validation", "column", "time", "seed", "similarity")]
    + [("data", "source", key) for key in ("train", "test", "validation", "other")]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(PATHS, VALUES), min_size=1, max_size=3))
def test_a_valid_charter_with_anything_put_anywhere_is_a_charter_or_problems(changes):
    value = VALID
    for path, new in changes:
        value = changed(value, path, new)
    outcome(value)


@settings(max_examples=200, deadline=None)
@given(st.lists(USES | VALUES, max_size=3), st.lists(USES | VALUES, max_size=3), USES | VALUES, USES | VALUES)
def test_plug_ins_with_options_of_any_shape_are_a_charter_or_problems(prepare, audits, adapt, task):
    value = changed(changed(VALID, ("data", "prepare"), prepare), ("model", "adapt"), adapt)
    outcome({**value, "audits": audits, "task": task})


SOURCES = st.builds(
    lambda name, options: {**options, "use": name},
    st.sampled_from(["csv", "excel", "folder", "sql", "sample", "nothing"]),
    st.dictionaries(KEYS, WORDS | VALUES, max_size=4),
)
JOINS = st.fixed_dictionaries(
    {"source": SOURCES | WORDS, "on": WORDS | st.dictionaries(WORDS, WORDS, max_size=2)},
    optional={"columns": st.lists(WORDS, max_size=2), "unmatched": WORDS, "use": VALUES},
)


@settings(max_examples=200, deadline=None)
@given(
    SOURCES | WORDS | st.dictionaries(WORDS | st.just("train"), SOURCES | WORDS, max_size=2),
    st.lists(JOINS | VALUES, max_size=2),
)
def test_sources_and_joins_of_any_shape_are_a_charter_or_problems(source, joins):
    outcome(changed(changed(VALID, ("data", "source"), source), ("data", "join"), joins))


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        st.sampled_from('macro_f1recall[class=*]<>=0.5 ,"\\baseline headline_gain mcc brier'), max_size=60
    )
)
def test_any_limit_is_a_charter_or_problems(text):
    outcome({**VALID, "limits": [text]})
