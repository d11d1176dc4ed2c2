"""What acts on training rows only: caps, balance, augmentation, doubtful labels. The other splits stay as they are."""

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.data.columns import PLACE, ROW, SPLIT, UNIT, Columns
from charter.data.passes import prepare
from charter.data.passes import prepare_divided as prepare_divided_rows
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.preparations.augmentation import variants
from charter.data.preparations.label_noise import confident_learning
from charter.data.rows import Rows, whole_numbers
from charter.errors import DataError
from charter.spec.use import Use


def prepare_divided(frame, columns, uses, folder=Path()):
    out = prepare_divided_rows(Rows.of(frame), columns, uses, folder=folder)
    told = {name: getattr(out, name) for name in ("dropped", "counts", "added", "findings")}
    return SimpleNamespace(frame=out.rows.collect(), **told)


COLUMNS = Columns(inputs={"text": "text"}, target="label", groups=("city",))
WORDS = {"good": ["great", "lovely", "kind", "warm"], "bad": ["awful", "rude", "cold", "dirty"]}


def frame(labels, texts=None, cities=None) -> pl.DataFrame:
    """Rows of which every fifth is a test row; two rows that follow each other are one unit."""
    n = len(labels)
    rows = {
        ROW: range(1, n + 1),
        PLACE: [f"file row {i + 1}" for i in range(n)],
        "text": texts or [f"a text of number {i}" for i in range(n)],
        "label": labels,
        "city": cities or ["Oslo"] * n,
        SPLIT: ["test" if i % 5 == 4 else "train" for i in range(n)],
        UNIT: [i // 2 for i in range(n)],
    }
    return pl.DataFrame(rows, schema_overrides={ROW: pl.Int64, UNIT: pl.Int64})


def train(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col(SPLIT) == "train")


def counts(rows: pl.DataFrame, column: str = "label") -> dict[str, int]:
    return dict(train(rows)[column].value_counts().iter_rows())


def after(frame, use, /, **options):
    return prepare_divided(frame, COLUMNS, [Use(use=use, **options)])


MANY = ["good"] * 100 + ["bad"] * 40 + ["odd"] * 10


@pytest.mark.parametrize(
    ("use", "options"),
    [
        ("cap_per_class", {"rows": 5}),
        ("balance", {}),
        ("balance", {"how": "undersample"}),
        ("augment", {"copies": 2}),
        ("label_noise", {"drop": True}),
    ],
)
def test_rows_that_a_model_is_judged_on_stay_as_they_are(use, options):
    rows = frame(MANY)
    out = after(rows, use, **options)
    held_out = pl.col(SPLIT) == "test"
    assert out.frame.filter(held_out).equals(rows.filter(held_out))
    assert prepare(rows, COLUMNS, [Use(use=use, **options)]).frame.equals(rows)  # nothing before the split


def test_a_cap_keeps_so_many_of_each_class_and_tells_of_the_rest():
    out = after(frame(MANY), "cap_per_class", rows=20)
    assert counts(out.frame) == {"good": 20, "bad": 20, "odd": 8}
    assert out.dropped["reason"].unique().to_list() == ["its class has more than 20 training rows"]
    assert out.dropped.height == 80 - 20 + 32 - 20


def test_a_draw_does_not_depend_on_the_order_of_rows():
    rows = frame(MANY)
    one, other = after(rows, "cap_per_class", rows=7), after(rows.reverse(), "cap_per_class", rows=7)
    assert set(train(one.frame)[ROW]) == set(train(other.frame)[ROW])
    seeds = [set(train(after(rows, "cap_per_class", rows=7, seed=seed).frame)[ROW]) for seed in range(3)]
    assert seeds[0] != seeds[1] != seeds[2]


def test_undersampling_brings_classes_to_the_rarest_or_to_a_ratio():
    assert counts(after(frame(MANY), "balance", how="undersample").frame) == {"good": 8, "bad": 8, "odd": 8}
    half = after(frame(MANY), "balance", how="undersample", ratio=0.5).frame
    assert counts(half) == {"good": 16, "bad": 16, "odd": 8}


def test_oversampling_repeats_every_row_about_equally_often_within_its_unit():
    rows = frame(MANY)
    out = after(rows, "balance")
    assert counts(out.frame) == {"good": 80, "bad": 80, "odd": 80}
    assert out.added == (("balance", {"repeated to balance the training rows": 48 + 72}),)
    often = train(out.frame).filter(pl.col("label") == "bad")[ROW].value_counts()["count"]
    assert (often.min(), often.max()) == (2, 3)
    units = dict(rows.select(ROW, UNIT).iter_rows())
    assert all(units[row] == unit for row, unit in out.frame.select(ROW, UNIT).iter_rows())


def test_oversampling_stops_at_the_most_copies_and_says_so():
    out = after(frame(MANY), "balance", most_copies=3)
    assert counts(out.frame) == {"good": 80, "bad": 80, "odd": 24}
    assert out.counts == (("balance", {"left: classes or groups still rarer than asked for": 1}),)


def test_balance_by_class_and_group_together_leaves_rows_without_a_group():
    cities = (["Oslo", "Oslo", None, "Bergen"] * 40)[: len(MANY)]
    rows = frame(MANY, cities=cities)
    out = after(rows, "balance", how="undersample", by=["city", "label"])
    sizes = train(out.frame).drop_nulls("city").group_by("city", "label").len()["len"]
    assert sizes.n_unique() == 1
    assert train(out.frame)["city"].null_count() == train(rows)["city"].null_count() > 20


def test_copies_of_a_row_are_drawn_each_by_itself():
    uses = [Use(use="balance"), Use(use="cap_per_class", rows=20)]
    out = prepare_divided(frame(MANY), COLUMNS, uses)
    assert counts(out.frame) == {"good": 20, "bad": 20, "odd": 20}
    assert train(out.frame).filter(pl.col("label") == "odd")[ROW].n_unique() > 4  # of 8 rows, ten times each


def test_a_stratified_draw_keeps_the_shares_of_another_column():
    cities = ["Oslo" if i % 4 else "Bergen" for i in range(400)]
    rows = frame(["good"] * 400, cities=cities)
    own = counts(rows, "city")
    drawn = counts(after(rows, "cap_per_class", rows=40, keep_shares=["city"]).frame, "city")
    assert abs(drawn["Bergen"] - 40 * own["Bergen"] / 320) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=10, max_size=80), st.integers(1, 30), st.integers(0, 9))
def test_a_cap_is_met_exactly_and_all_are_accounted_for(labels, most, seed):
    rows = frame(labels)
    out = after(rows, "cap_per_class", rows=most, seed=seed)
    before = counts(rows)
    assert counts(out.frame) == {label: min(size, most) for label, size in before.items()}
    assert out.frame.height + out.dropped.height == rows.height


def test_what_works_by_class_refuses_tags_and_columns_without_a_role():
    tagged = frame(["a"] * 10).with_columns(label=pl.lit(["O", "B-x"]))
    for use, options in (("cap_per_class", {"rows": 1}), ("balance", {}), ("label_noise", {})):
        with pytest.raises(DataError, match="no single class per row"):
            after(tagged, use, **options)
    with pytest.raises(DataError, match="'country' is no column"):
        after(frame(["a"] * 10), "balance", by=["country"])


def test_augmented_rows_carry_the_label_number_and_unit_of_their_row():
    rows = frame(MANY)
    out = after(rows, "augment", copies=2, classes=["odd"])
    new = out.frame.filter(pl.col(PLACE).str.contains("augmented by"))
    assert new.height == 16 == sum(out.added[0][1].values())
    own = {row[0]: row[1:] for row in rows.select(ROW, "label", UNIT, "text").iter_rows()}
    for row, label, unit, text in new.select(ROW, "label", UNIT, "text").iter_rows():
        assert (label, unit) == own[row][:2]
        assert text != own[row][2]
    assert new[SPLIT].unique().to_list() == ["train"]


def test_augmenting_does_not_depend_on_which_rows_are_at_hand():
    rows = frame(MANY)
    whole = after(rows, "augment").frame
    part = after(rows.tail(60), "augment").frame
    assert part.equals(whole.filter(pl.col(ROW) > len(MANY) - 60))


def test_augment_refuses_targets_that_name_words_and_unknown_labels():
    tagged = frame(["a"] * 10).with_columns(text=pl.lit(["some", "words"]), label=pl.lit(["O", "B-x"]))
    with pytest.raises(DataError, match="no longer fit"):
        after(tagged, "augment")
    with pytest.raises(DataError, match="rare"):
        after(frame(["a"] * 10), "augment", classes=["rare"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["room", "was", "not", "don't", "[EMAIL]", "很", "不", "好", "!", "2"]), max_size=12
    ),
    st.sampled_from(["delete", "swap", "typos"]),
    st.integers(0, 50),
)
def test_variants_differ_keep_placeholders_and_negations_and_come_again(pieces, method, seed):
    text = " ".join(pieces)
    found = variants(text, (method,), 3, 0.2, str(seed))
    assert found == variants(text, (method,), 3, 0.2, str(seed))
    assert text not in found and "" not in found
    for made in found:
        for kept in ("[EMAIL]", "not", "don't", "不"):
            assert made.count(kept) == text.count(kept)


def noisy(n=600, wrong=0.1):
    """Reviews with labels of which some are turned around: rows, and which of them."""
    draw = random.Random(3)
    labels, texts, turned = [], [], []
    for _ in range(n):
        label = draw.choice(["good", "bad"])
        texts.append(" ".join([draw.choice(WORDS[label]) for _ in range(3)] + [f"thing{draw.randrange(50)}"]))
        turned.append(draw.random() < wrong)
        labels.append({"good": "bad", "bad": "good"}[label] if turned[-1] else label)
    return frame(labels, texts), np.asarray(turned)


def test_labels_that_were_turned_around_are_found_and_listed_without_their_texts():
    rows, turned = noisy()
    out = after(rows, "label_noise")
    assert out.frame.equals(rows)
    told = [one for one in out.findings if one.metric == "label_noise_candidates"]
    listed = {row for one in told for row in one.attachment["rows"]}
    true = set(rows.filter(pl.Series(turned) & (pl.col(SPLIT) == "train"))[ROW])
    assert len(listed & true) >= 0.9 * len(true)
    assert len(listed & true) >= 0.9 * len(listed)
    share = next(one.value for one in out.findings if one.metric == "label_noise_share")
    assert abs(share - 0.1) < 0.04
    assert not any(text in str(out.findings) for text in rows["text"])


def test_candidates_leave_training_only_when_asked():
    rows, turned = noisy()
    out = after(rows, "label_noise", drop=True)
    assert set(out.dropped["reason"]) == {"its label is probably wrong (confident learning)"}
    left = train(out.frame).join(rows.filter(pl.Series(turned)).select(ROW), on=ROW)
    assert left.height < 0.1 * turned.sum()


def test_no_model_is_asked_about_a_row_of_a_unit_that_it_has_seen():
    labels = ["good", "bad"] * 60
    texts = [f"word{i // 2}x word{i // 2}y" for i in range(120)]  # two rows of a unit: one text, two labels
    out = after(frame(labels, texts), "label_noise")
    told = [one for one in out.findings if one.metric == "label_noise_candidates"]
    assert (
        sum(one.value for one in told) < 0.75 * 96
    )  # had it seen the other row it would contradict nearly every label


def test_a_class_of_few_rows_is_not_judged():
    rows = pl.concat([noisy()[0], frame(["odd"] * 10).with_columns(pl.col(ROW) + 600)])
    odd = [one for one in after(rows, "label_noise").findings if one.slice.get("class") == "odd"]
    assert [one.value for one in odd] == [None]
    assert odd[0].because == "insufficient evidence: 8 rows, at least 20 are needed"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_candidates_are_those_of_cleanlab(classes):
    cleanlab = pytest.importorskip("cleanlab.filter")
    rng = np.random.default_rng(classes)
    labels = rng.integers(classes, size=500)
    logits = rng.normal(size=(500, classes))
    logits[np.arange(500), np.where(rng.random(500) < 0.15, rng.integers(classes, size=500), labels)] += 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = cleanlab.find_label_issues(labels, shares, filter_by="confident_learning", n_jobs=1)
    assert np.array_equal(confident_learning(labels, shares).candidates, expected)
    assert 0 < expected.sum() < 250


def test_a_plug_in_that_makes_rows_without_saying_so_is_refused(monkeypatch):
    def twice() -> Preparation:
        def apply(rows, columns):
            return Outcome(pl.concat([rows, rows]), nothing_dropped(), {})

        return Preparation(row_wise=False, apply=apply, splits=("train",))

    monkeypatch.setattr("charter.plugins.load", lambda *_: twice)
    with pytest.raises(DataError, match="lost or made rows without saying so"):
        prepare_divided(frame(MANY), COLUMNS, [Use(use="twice")])


@pytest.mark.parametrize("use", ["augment", "label_noise"])
def test_what_sees_texts_gives_the_same_in_pieces_and_aside(monkeypatch, use):
    rng = random.Random(4)
    labels = [rng.choice(["good", "good", "bad"]) for _ in range(150)]
    meant = [label if n % 9 else "bad" for n, label in enumerate(labels)]
    texts = [" ".join(rng.choices(WORDS[label] + ["room", "crew"], k=7)) for label in meant]
    rows = frame(labels, texts)
    rows = after(rows, "balance").frame
    uses = [Use(use=use, **({"drop": True} if use == "label_noise" else {"copies": 2}))]
    whole = prepare_divided_rows(Rows.of(rows), COLUMNS, uses)
    monkeypatch.setattr("charter.data.aside.MEMORY_BYTES", 1000)
    monkeypatch.setattr("charter.data.preparations.label_noise.AT_ONCE", 7)
    parted = prepare_divided_rows(Rows.of(rows.iter_slices(3)), COLUMNS, uses)
    assert parted.rows.collect().equals(whole.rows.collect())
    assert (parted.counts, parted.added, parted.findings) == (whole.counts, whole.added, whole.findings)
    assert parted.dropped.equals(whole.dropped)
    assert parted.rows.height != rows.height


def test_rows_of_one_number_come_together_and_no_row_is_lost():
    numbers = pl.DataFrame({ROW: [1, 1, 1, 2, 3, 3, 4, 4, 4, 4, 5]})
    for size in (1, 2, 3, 5, 11):
        pieces = list(whole_numbers(numbers.iter_slices(size)))
        assert pl.concat(pieces).equals(numbers)
        assert sum(piece[ROW].n_unique() for piece in pieces) == 5
    assert [piece.height for piece in whole_numbers([numbers[:0]])] == [0]
