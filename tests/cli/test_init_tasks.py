"""`charter init` tells the task by what the columns hold and are called, and says why."""

import json
import random
from pathlib import Path

import polars as pl
import pytest

from charter import spec
from charter.cli import run_command

WORDS = ["the", "room", "was", "very", "and", "crew", "today", "we", "found", "it", "so"]


def reviews(n=240):
    rng = random.Random(5)
    return [
        {"title": f"No {number}", "review": " ".join(rng.choices(WORDS, k=rng.randint(8, 20))), "stars": number % 5 + 1}
        for number in range(n)
    ]  # fmt: skip


def write_csv(path: Path, records):
    pl.DataFrame(records).write_csv(path)


def init(*arguments: str):
    """The charter that was written, after it was checked."""
    assert run_command(["init", *arguments, "--yes"]) == 0
    return spec.read(Path("charter.yaml"))


def kept(record, *names):
    return {name: record[name] for name in names}


@pytest.mark.parametrize(
    ("change", "names", "task", "target"),
    [
        (lambda n: {"score": round(n * 0.37, 2)}, ("review", "score"), "regression", "score"),
        (
            lambda n: {"tags": "|".join(["a", "b", "c"][: n % 4])},
            ("review", "tags"),
            "multi_label_classification",
            "tags",
        ),
        (
            lambda n: {"toxic": n % 2, "insult": int(n % 3 == 0), "threat": int(n % 7 == 0)},
            ("review", "toxic", "insult", "threat"),
            "multi_label_classification",
            ("toxic", "insult", "threat"),
        ),
        (
            lambda n: {
                "premise": f"room {n} was warm and clean",
                "hypothesis": f"it was cold {n}",
                "label": "ab"[n % 2],
            },
            ("premise", "hypothesis", "label"),
            "text_pair_classification",
            "label",
        ),
    ],
)
def test_the_task_follows_from_what_the_target_holds(here, change, names, task, target):
    write_csv(here / "x.csv", [kept({**one, **change(n)}, *names) for n, one in enumerate(reviews())])
    charter = init("x.csv")
    assert (charter.task.use, charter.data.target) == (task, target)
    if task == "text_pair_classification":
        assert tuple(charter.data.inputs) == ("premise", "hypothesis")
        assert "drop_near_duplicates" not in [use.use for use in charter.data.prepare]
    if "|" in str(charter.task.options.get("separator")):
        assert charter.task.options["separator"] == "|"


def letters(*names):
    return lambda n, rng: {
        one: f"{rng.choice(WORDS)} {n % 7 + at}, {rng.choice(WORDS)}" for at, one in enumerate(names)
    }


STORY = " ".join(WORDS)
CHOICES = [
    ({"sentence": STORY}, ["ending0", "ending1", "ending2", "ending3"], "label", "0123", {}),
    ({"premise": STORY}, ["choice1", "choice2"], "label", "12", {"first": 1}),
    ({"question": STORY}, ["A", "B", "C", "D"], "answer", "ABCD", {}),
    ({"article": STORY + STORY, "question": STORY}, ["option_a", "option_b", "option_c"], "correct", "abc", {"stem": 2}),
    ({"goal": STORY}, ["sol1", "sol2"], "answer", ["sol1", "sol2"], {}),
    ({"题干": "房间很干净，早餐也很好吃"}, ["选项A", "选项B", "选项C"], "答案", "ABC", {}),
]  # fmt: skip


@pytest.mark.parametrize(("stems", "choices", "target", "values", "options"), CHOICES)
def test_columns_of_choices_and_the_one_that_is_right_are_multiple_choice(
    here, capsys, stems, choices, target, values, options
):
    rng = random.Random(3)
    made = [
        {"id": f"r{n}", "asks": rng.choice(["cause", "effect"]), **{name: f"{text} {n}" for name, text in stems.items()},
         **letters(*choices)(n, rng), target: rng.choice(values)}
        for n in range(120)
    ]  # fmt: skip
    write_csv(here / "x.csv", made)
    charter = init("x.csv")
    assert (charter.task.use, charter.data.target) == ("multiple_choice", target)
    assert tuple(charter.data.inputs) == (*stems, *choices)
    assert dict(charter.task.options) == options
    assert f"{len(choices)} columns of choices" in capsys.readouterr().out
    assert [use.use for use in charter.data.prepare][2:] == ["drop_exact_duplicates"]


def test_a_column_of_lists_of_choices_is_multiple_choice(here):
    made = [
        {"article": f"{STORY} {n}", "question": f"what {n}?", "options": ["the", f"a{n}", "c", "d"][: 3 + n % 2],
         "answer": "ABC"[n % 3]}
        for n in range(90)
    ]  # fmt: skip
    (here / "x.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made), encoding="utf-8")
    charter = init("x.jsonl")
    assert (charter.task.use, tuple(charter.data.inputs)) == (
        "multiple_choice",
        ("article", "question", "options"),
    )
    assert dict(charter.task.options) == {"stem": 2}


@pytest.mark.parametrize(
    ("right", "letters_"), [({"label": "0123456"}, "ABC"), ({"label": "xyz"}, "ABC"), ({"label": "AB"}, "AB")]
)
def test_columns_that_the_target_does_not_name_are_no_choices(here, right, letters_):
    rng = random.Random(3)
    ((target, values),) = right.items()
    made = [
        {"text": f"{STORY} {n}", **letters(*letters_)(n, rng), target: rng.choice(values)} for n in range(120)
    ]
    write_csv(here / "x.csv", made)
    assert init("x.csv").task.use == "classification"


@pytest.mark.parametrize(
    ("names", "others", "task"),
    [
        (("anchor", "positive"), {}, "sentence_embedding"),
        (("anchor", "positive", "negative"), {"topic": "ab"}, "sentence_embedding"),
        (("query", "passage"), {"split_of": "ab"}, "sentence_embedding"),
        (("sentence1", "sentence2"), {}, "sentence_embedding"),
        (("question", "answer"), {"lang": "ab"}, "sentence_embedding"),
        (("query", "passage"), {"label": "01"}, "text_pair_classification"),
        (("sentence1", "sentence2"), {"verdict": "xyz"}, "text_pair_classification"),
    ],
)  # fmt: skip
def test_texts_that_belong_together_without_a_label_are_for_embeddings(here, capsys, names, others, task):
    rng = random.Random(3)
    made = [{**{one: f"{' '.join(rng.choices(WORDS, k=9))} {n}" for one in names}, **{one: rng.choice(of) for one, of in others.items()}}
            for n in range(150)]  # fmt: skip
    write_csv(here / "x.csv", made)
    charter = init("x.csv")
    assert (charter.task.use, tuple(charter.data.inputs)) == (task, names)
    assert (charter.data.target is None) == (task == "sentence_embedding")
    assert ("belong" in capsys.readouterr().out) == (task == "sentence_embedding")


def test_lists_of_labels_are_several_labels_and_lists_of_words_are_not(here):
    lines = [
        {"text": one["review"], "labels": ["joy", "fear", "anger"][: number % 4]}
        for number, one in enumerate(reviews())
    ]
    Path("x.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert init("x.jsonl").task.use == "multi_label_classification"


def test_several_texts_and_targets_are_named_by_repeating_the_option(here):
    write_csv(
        here / "x.csv",
        [{**one, "toxic": n % 2, "insult": int(n % 3 == 0)} for n, one in enumerate(reviews())],
    )
    charter = init("x.csv", "--text", "title", "--text", "review", "--target", "toxic", "--target", "insult")
    assert tuple(charter.data.inputs) == ("title", "review")
    assert charter.data.target == ("toxic", "insult")


@pytest.mark.parametrize(
    ("task", "new"),
    [
        ("masked_language_modelling", False),
        ("next_sentence_prediction", False),
        ("causal_language_modelling", True),
    ],
)
def test_texts_alone_make_a_charter_of_a_language_model_that_check_accepts(here, task, new):
    write_csv(here / "x.csv", [kept(one, "review") for one in reviews()])
    charter = init("x.csv", "--task", task)
    assert (charter.task.use, charter.data.target) == (task, None)
    assert (charter.model.architecture is not None) == new
    assert charter.data.split.calibration is None
    assert [str(one) for one in charter.limits] == ["headline_gain[baseline=unigram] > 0"]
    assert run_command(["check"]) == 0


def test_where_no_target_is_found_the_way_to_learn_from_texts_alone_is_said(here, capsys):
    write_csv(here / "x.csv", [kept(one, "review") for one in reviews()])
    assert run_command(["init", "x.csv", "--yes"]) == 2
    assert "--task masked_language_modelling" in capsys.readouterr().err
    assert init("x.csv", "--target", "-").task.use == "masked_language_modelling"
