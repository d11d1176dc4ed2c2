"""Heads of other tasks that go on, in whole runs; and what can't go on, with what to do instead."""

import json
import random
from pathlib import Path

import polars as pl
import pytest
import yaml
from safetensors.torch import load_file

from charter import spec
from charter.errors import CharterFileError, DataError, ModelError
from charter.pipeline import run

from ..conftest import BAD, FILLER, GOOD

TASKS = {
    "multi_label_classification": {
        "inputs": {"text": "text"},
        "target": "labels",
        "limit": "hamming_loss <= 1",
    },
    "ordinal": {"inputs": {"text": "text"}, "target": "stars", "limit": "accuracy >= 0"},
    "token_classification": {"inputs": {"words": "text"}, "target": "tags", "limit": "accuracy >= 0"},
    "question_answering": {
        "inputs": {"question": "text", "text": "text"},
        "target": "answers",
        "limit": "answer_f1 >= 0",
    },
    "regression": {"inputs": {"text": "text"}, "target": "number", "limit": "rmse <= 1000"},
}


def write_rows(path: Path, seed: int, *, more: bool = False) -> None:
    """Rows of every task. more: a label, a class and a type beside those that there are without."""
    rng = random.Random(seed)
    lines = []
    for number in range(160):
        words = [rng.choice(FILLER + GOOD + BAD) for _ in range(8)]
        good, bad = sum(one in GOOD for one in words), sum(one in BAD for one in words)
        labels = ["bad"] * (bad > 1) + ["good"] * (good > 1) + ["another"] * (more and number % 3 == 0)
        tags = ["B-GOOD" if one in GOOD else "B-NEW" if more and one in BAD else "O" for one in words]
        answer = rng.randrange(8)
        text = " ".join(words)
        start = len(" ".join(words[:answer])) + bool(answer)
        lines.append(
            {
                "text": text,
                "labels": "|".join(labels),
                "stars": 5 if more and number % 9 == 0 else min(4, max(1, 2 + good - bad)),
                "words": words,
                "tags": tags,
                "question": f"where {number} {seed}",
                "answers": {"text": [words[answer]], "answer_start": [start]},
                "number": good - bad + number / 100,
            }
        )
    path.write_text("\n".join(json.dumps(one) for one in lines) + "\n", encoding="utf-8")


def write(folder: Path, name: str, base: object, task: str, **asked: object) -> Path:
    about = TASKS[task]
    source = asked.pop("source", f"{name}.jsonl")
    options = {"separator": "|"} if task == "multi_label_classification" else {}
    charter = {
        "name": name,
        "data": {
            "source": source,
            "inputs": about["inputs"],
            "target": about["target"],
            "split": {"test": 0.3, "validation": 0.1, "calibration": 0.05},
        },
        "model": {"base": str(base), "max_length": 32, **asked.pop("model", {})},
        "task": {"use": task, **options, **asked.pop("options", {})},
        "training": {"epochs": 1, "batch_size": 16, "learning_rate": 0.003},
        "audits": [{"use": "performance", "resamples": 100, "minimum_n": 10}],
        "limits": [about["limit"]],
        **asked,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(charter), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tasks")
    for seed, name in enumerate(("first", "same", "other"), start=1):
        write_rows(place / f"{name}.jsonl", seed, more=name == "other")
    return place


def first_bundle(folder: Path, tiny_bert: Path, task: str) -> str:
    """The released bundle of a task, which leaves a memory and Fisher information where its head can go on by `continual`."""
    name = f"first_{task}"
    left = (
        {"continual": {"remember": 40, "fisher": 20}}
        if task in ("multi_label_classification", "ordinal")
        else {}
    )
    run(write(folder, name, tiny_bert, task, source="first.jsonl", **left))
    return f"release/{name}"


def found(result, metric: str, **where: str):
    return next(one for one in result.record.findings if one.metric == metric and dict(one.slice) == where)


def outputs_of(bundle: Path) -> list[str]:
    return list(json.loads((bundle / "config.json").read_text())["id2label"].values())


@pytest.mark.parametrize("task", ["multi_label_classification", "ordinal"])
def test_labels_and_ordered_classes_go_on_and_what_they_forget_is_measured(folder, tiny_bert, task):
    base = first_bundle(folder, tiny_bert, task)
    data = "other.jsonl" if task == "multi_label_classification" else "same.jsonl"
    for keep in ("lwf", "ewc"):
        asked = {"keep": {"use": keep}, "replay": 30, "remember": 40}
        result = run(write(folder, f"second_{task}", base, task, source=data, continual=asked))
        assert found(result, "rows_replayed").value == 30
        lost, then = found(result, "forgetting"), found(result, "score_then", earlier_task=f"first_{task}")
        assert lost.value is not None and lost.low <= lost.value <= lost.high
        before = json.loads((folder / base / "charter/record.json").read_text())["findings"]
        main = {"multi_label_classification": "macro_f1", "ordinal": "quadratic_weighted_kappa"}[task]
        scored = next(
            one
            for one in before
            if one["metric"] == main and one.get("slice", {}) == {} and one["area"] == "performance"
        )
        assert then.value == pytest.approx(scored["value"])
        memory = pl.read_parquet(result.bundle / "charter/memory.parquet")
        assert memory.height == 40 and result.record.provenance["left"]["memory"]["earlier_rows"] > 0
    if task == "multi_label_classification":
        assert outputs_of(result.bundle) == ["bad", "good", "another"]  # the old ones first, with their rows


def test_a_class_between_ordered_ones_is_refused_with_what_to_do(folder, tiny_bert):
    base = first_bundle(folder, tiny_bert, "ordinal")
    with pytest.raises(DataError, match=r"1, 2, 3, 4 in this order.*head: replace"):
        run(write(folder, "third", base, "ordinal", source="other.jsonl", continual={"keep": None}))
    result = run(write(folder, "third", base, "ordinal", source="other.jsonl"))  # transfer: a new head
    assert "head" not in result.record.provenance["base"]
    assert outputs_of(result.bundle) == ["> 1", "> 2", "> 3", "> 4"]


@pytest.mark.parametrize("task", ["token_classification", "question_answering"])
def test_heads_of_tags_and_of_answers_go_on_in_transfer(folder, tiny_bert, task):
    base = first_bundle(folder, tiny_bert, task)
    result = run(
        write(
            folder,
            f"next_{task}",
            base,
            task,
            source="other.jsonl",
            training={"epochs": 1, "batch_size": 16, "learning_rate": 1e-12},
        )
    )
    assert result.record.provenance["base"]["head"] == "kept"
    named = {
        "token_classification": ["O", "B-GOOD", "I-GOOD", "B-NEW", "I-NEW"],
        "question_answering": ["start", "end"],
    }
    assert outputs_of(result.bundle) == named[task]
    head = "classifier.weight" if task == "token_classification" else "qa_outputs.weight"
    old, new = (load_file(one / "model.safetensors")[head] for one in (folder / base, result.bundle))
    assert (new[: len(old)] - old).abs().max() < 1e-6


def test_tasks_that_can_not_go_on_say_what_to_do_instead(folder, tiny_bert):
    base = first_bundle(folder, tiny_bert, "ordinal")
    for task in ("token_classification", "regression"):
        with pytest.raises(
            CharterFileError,
            match=r"can't go on from an earlier model yet.*model\.base is learned on from \(transfer\)",
        ):
            spec.read(write(folder, "other", base, task, continual={}))
        with pytest.raises(ModelError, match=r"What can be had is transfer.*model\.base"):
            run(write(folder, "other", base, task), continue_from=folder / base)
    with pytest.raises(
        ModelError, match=r"does task ordinal, not multi_label_classification.*task-incremental.*transfer"
    ):
        run(write(folder, "other", base, "multi_label_classification", continual={}))
    tuned = {"options": {"threshold": "tuned"}, "continual": {}}
    labels = first_bundle(folder, tiny_bert, "multi_label_classification")
    with pytest.raises(ModelError, match="threshold: tuned"):
        run(write(folder, "other", labels, "multi_label_classification", **tuned))
