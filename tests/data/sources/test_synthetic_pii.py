"""Made-up texts: spans stand where they say, parts share no template and no name, and equal seeds give equal texts."""

import os
import subprocess
import sys
from itertools import combinations

import polars as pl
import pytest

from charter.data.columns import SPLIT, Columns
from charter.data.preparations.forms import EVERY_KIND, find
from charter.data.sources.synthetic_pii import marked_texts, synthetic_pii
from charter.data.synthetic import chinese_templates, english_templates
from charter.data.synthetic.templates import Slot, filled
from charter.data.table import Asked
from charter.errors import DataError

ROLES = Asked(Columns({"text": "text"}, "spans", groups=("template", "locale")))


def rows(location="zh", **options):
    tables = synthetic_pii(rows=400, **options).read(location, None, ROLES)
    return pl.concat([one.frame for one in tables])


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_every_template_can_be_filled_and_spans_hold_their_values(locale):
    for part in ("train", "validation", "test"):
        made = list(marked_texts(locale, part, 500, seed=1))
        templates = {"en": english_templates, "zh": chinese_templates}[locale]
        assert len({one.template for one in made}) == len(getattr(templates, part.upper()))
        for one in made:
            assert not set("<{}|") & set(one.text.replace(" | ", "")) or "|" in one.text
            ends = [0]
            for start, end, _ in one.spans:
                assert ends[-1] <= start < end <= len(one.text) and one.text[start:end].strip()
                ends.append(end)


@pytest.mark.parametrize("module", [english_templates, chinese_templates])
def test_parts_share_no_template(module):
    for one, other in combinations(("TRAIN", "VALIDATION", "TEST"), 2):
        assert not set(getattr(module, one)) & set(getattr(module, other))


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_given_names_and_addresses_of_the_test_are_never_learned_from(locale):
    def values(part, kind):
        return {
            one.text[a:b] for one in marked_texts(locale, part, 500, 3) for a, b, k in one.spans if k == kind
        }

    assert not values("train", "ADDRESS") & values("test", "ADDRESS")
    assert not values("train", "ORGANIZATION") & values("test", "ORGANIZATION")
    names = {one for one in values("train", "PERSON") & values("test", "PERSON") if len(one) > 2}
    assert len(names) <= 2  # surnames alone (司马 先生) are a closed class


def test_a_source_gives_its_parts_and_only_the_kinds_asked_for():
    made = rows(kinds=["PERSON", "CN_PLATE"])
    assert made[SPLIT].value_counts().sort(SPLIT)["count"].to_list() == [40, 320, 40]
    labels = made["spans"].explode().drop_nulls().struct.field("label").unique().to_list()
    assert sorted(labels) == ["CN_PLATE", "PERSON"]
    assert made.columns[:2] == ["_row", "_place"]


@pytest.mark.parametrize("location", ["en", "zh"])
def test_equal_seeds_give_equal_texts_and_other_seeds_others(location):
    assert rows(location)["text"].equals(rows(location)["text"])
    assert not rows(location)["text"].equals(rows(location, seed=8)["text"])


def test_equal_seeds_give_equal_texts_in_every_process():
    made = (
        "from charter.data.sources.synthetic_pii import marked_texts as made; import zlib; "
        "print(zlib.crc32(repr([one.text for one in made('en', 'train', 150, 3)]).encode()))"
    )

    def told(hash_seed):
        given = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run([sys.executable, "-c", made], env=given, capture_output=True, check=True).stdout

    assert told("1") == told("2") != b""


def test_names_for_artefacts_tell_locales_apart():
    digest = synthetic_pii().digest
    assert digest("zh", None, ROLES) == synthetic_pii().digest("zh", None, ROLES) != digest("en", None, ROLES)


def test_an_unknown_locale_is_refused():
    for location in ("fr", "zh+zh", ""):
        with pytest.raises(DataError, match="there are en, zh"):
            list(synthetic_pii().read(location, None, ROLES))


def test_made_up_numbers_are_what_forms_look_for():
    told = missed = 0
    for one in marked_texts("zh", "test", 1500, 2):
        found = {(each.start, each.end, each.name) for each in find(one.text, EVERY_KIND)}
        forms = {each for each in one.spans if each[2] in ("CN_PLATE", "CARD", "CN_ID", "CN_MOBILE")}
        told += len(forms)
        missed += len(forms - found)
    assert told > 300 and missed <= 0.01 * told


def test_places_are_counted_in_characters_of_what_was_chosen():
    import random

    def always(value):
        return lambda *_: value

    slots = {"who": Slot("PERSON", always("Ann")), "n": Slot(None, always("12"))}
    one = filled("<a|bb> {n} {who}<.|!>", 3, slots, random.Random(1), "train")
    assert [one.text[start:end] for start, end, _ in one.spans] == ["Ann"] and one.template == 3
