"""Keys that don't agree are said all at once, however many others are wrong; limits that nothing can keep are refused."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from charter import plugins
from charter.data.columns import Columns
from charter.errors import CharterFileError
from charter.spec import check, metrics, parse_document
from charter.spec.model import Charter
from charter.spec.privacy import MIXING, MIXING_OBJECTIVES
from charter.tasks.classification import Classification, text_pair_classification
from charter.tasks.multi_label_classification import MultiLabelClassification
from charter.tasks.ordinal import Ordinal
from charter.tasks.regression import Regression
from charter.tasks.token_classification import TokenClassification

CONTRAST = "training: {objective: {use: contrastive}}\n"
PAIR = Columns(inputs={"x": "text", "y": "text"}, target="z")


def text_of(
    source: str = '"sample:tweets"', data: str = "", task: str = "classification", rest: str = ""
) -> str:
    return (
        f"name: a\ndata:\n  source: {source}\n  inputs: {{text: text}}\n  target: sentiment\n{data}"
        f'model: {{base: "sample:minilm"}}\ntask: {{use: {task}}}\n{rest}'
    )


def said(text: str) -> dict[str, str]:
    with pytest.raises(CharterFileError) as caught:
        check(parse_document(text, Path("charter.yaml")))
    return {one.path: one.message for one in caught.value.problems}


def checked(text: str):
    return check(parse_document(text, Path("charter.yaml")))


ALL_WRONG = """\
name: 7
data:
  source: {train: none.csv, test: "sample:tweets", other: x}
  inputs: {text: text}
  groups: [topic, 5, text, class]
  public: yes
  encoding: klingon
  split: {test: 0.5, seed: x, column: topic, time: topic}
model: {base: ./none, max_length: many}
task: classification
training: {batch_size: 4, micro_batch_size: 8, epochs: -1, early_stopping: 2}
audits: [{use: performance}, {use: performance}, {use: calibration, bins: x}]
limits: [macro_f1 >= 65, macro_f1 > = 1, macro_f1 >= 65]
release: {sign: none.pem, formats: [safetensors, safetensors]}
"""


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("name", "in quotes"),
        ("data.target", "is missing"),
        ("data.source.train", "no such file"),
        ("data.source.other", "accepted: train"),
        ("data.groups[1]", "in quotes"),
        ("data.groups[2]", "is an input too"),
        ("data.groups[3]", "rename the column"),
        ("data.public", "write true"),
        ("data.encoding", "not known"),
        ("data.split", "takes no fractions"),
        ("data.split.seed", "whole number"),
        ("data.split.test", "as published"),
        ("data.split.column", "names the parts already"),
        ("model.base", "no such folder"),
        ("model.max_length", "whole number"),
        ("task", "write {use: classification}"),
        ("training", "larger than batch_size"),
        ("training.epochs", "0 or more"),
        ("training.early_stopping", "no validation rows"),
        ("audits[1]", "stands twice"),
        ("audits[2].bins", "whole number"),
        ("limits[0]", "0.65 for 65 percent"),
        ("limits[1]", "not a limit"),
        ("limits[2]", "within 0 and 1"),
        ("release.sign", "no such key file"),
        ("release.formats[1]", "stands twice"),
    ],
)
def test_no_problem_hides_another(path, words):
    assert words in said(ALL_WRONG)[path]


@pytest.mark.parametrize(
    ("limit", "task", "words"),
    [
        ("macro_f1 >= 65", "classification", "Write 0.65 for 65 percent"),
        ("macro_f1 > 1", "classification", "within 0 and 1"),
        ("accuracy >= -0.1", "classification", "within 0 and 1"),
        ("mcc >= -1.5", "classification", "within -1 and 1"),
        ("brier <= 2.5", "classification", "within 0 and 2"),
        ("negative_log_likelihood <= -1", "classification", "within 0 and inf"),
        ("expected_calibration_error < 0", "classification", "within 0 and 1"),
        ("expected_calibration_error >= 0.05", "classification", "less is better. Write <="),
        ("macro_f1 <= 0.9", "classification", "more is better. Write >="),
        ("recall[class=x] < 0.9", "classification", "more is better"),
        ("auroc >= 0.5", "token_classification", "for task token_classification"),
        ("headline_gain >= 0", "classification", "headline_gain[baseline=NAME]"),
        ("headline_gain[topic=*] >= 0", "classification", "headline_gain[baseline=NAME]"),
        (
            "headline_gain[baseline=tfidf] >= 0",
            "classification",
            "Measured: majority, tfidf_logistic_regression",
        ),
        ("headline_gain[baseline=tfidf_logistic_regression] >= 0", "token_classification", "word_features"),
        ("macro_f1[baseline=majority] >= 0.1", "classification", "only headline_gain"),
        ("perplexity_over_baseline[baseline=majority] <= 1", "classification", "no audit measures"),
        (
            "perplexity_over_baseline <= 1",
            "masked_language_modelling",
            "perplexity_over_baseline[baseline=NAME]",
        ),
        ("brier[temperature=after] <= 0.1", "classification", "no temperature 'after'"),
        ("macro_f1[temperature=before] >= 0.1", "classification", "not in data.groups"),
    ],
)
def test_a_limit_that_can_t_be_kept_or_asks_for_a_bad_model_is_refused(limit, task, words):
    assert words in said(text_of(task=task, rest=f'limits: ["{limit}"]\n'))["limits[0]"]


@pytest.mark.parametrize(
    ("limit", "task"),
    [
        ("headline_gain[baseline=tfidf_logistic_regression] >= 0.02", "classification"),
        ("headline_gain[baseline=majority] > 0", "classification"),
        ("headline_gain[baseline=*] >= -0.01", "token_classification"),
        ("headline_gain[baseline=word_features_logistic_regression] >= 0", "token_classification"),
        ("mcc >= -0.2", "classification"),
        ("negative_log_likelihood <= 3", "classification"),
        ("brier <= 1.2", "classification"),
    ],
)
def test_a_limit_within_its_metric_s_range_passes(limit, task):
    assert checked(text_of(task=task, rest=f'limits: ["{limit}"]\n')).limits


def test_a_language_model_s_perplexity_may_be_limited_by_that_of_token_frequencies():
    limit = "perplexity_over_baseline[baseline=unigram] <= 0.9"
    text = text_of(task="masked_language_modelling", rest=f'limits: ["{limit}"]\n')
    without = "\n".join(line for line in text.splitlines() if "target" not in line)
    assert checked(without).limits


def test_bounds_are_judged_beside_a_plug_in_too_but_what_it_measures_is_not_guessed():
    text = text_of(
        rest='audits: [{use: performance}, {use: nothing_known}]\nlimits: [macro_f1 >= 65, "own[size=big] >= 9"]\n'
    )
    found = said(text)
    assert "within 0 and 1" in found["limits[0]"]
    assert "limits[1]" not in found


def test_headline_gain_needs_the_audit_that_measures_it():
    text = text_of(rest='audits: [{use: calibration}]\nlimits: ["headline_gain[baseline=majority] >= 0"]\n')
    assert "add {use: performance} to audits" in said(text)["limits[0]"]


PUBLISHED = '{train: "sample:tweets", test: "sample:tweets"}'


@pytest.mark.parametrize(
    ("source", "data", "rest", "path", "words"),
    [
        (PUBLISHED, "  split: {test: 0.5}\n", "", "data.split.test", "as published"),
        (PUBLISHED, "  split: {time: topic}\n", "", "data.split.time", "names the parts already"),
        (PUBLISHED, "", "training: {early_stopping: 2}\n", "training.early_stopping", "no validation rows"),
        ('{train: "sample:tweets"}', "", "", "data.source", "no test part"),
        ('{test: "sample:tweets"}', "", "", "data.source", "'train' is needed"),
    ],
)
def test_a_split_that_can_t_be_as_asked_is_refused(source, data, rest, path, words):
    assert words in said(text_of(source, data, rest=rest))[path]


@pytest.mark.parametrize(
    ("source", "data"),
    [
        (PUBLISHED, "  split: {validation: 0.1}\n"),
        (PUBLISHED.replace("test:", "validation:"), "  split: {test: 0.1}\n"),
        ('"sample:tweets"', ""),
        ('"sample:tweets"', "  split: {column: topic}\n"),
    ],
)
def test_early_stopping_with_validation_rows_or_where_they_can_t_be_known_passes(source, data):
    assert checked(text_of(source, data, rest="training: {early_stopping: 2}\n"))


@pytest.mark.parametrize("name", ["class", "baseline", "temperature", "split", "kind"])
def test_a_group_called_as_a_slice_of_findings_is_refused(name):
    assert (
        "rename the column" in said(text_of("hf:owner/name", data=f"  groups: [{name}]\n"))["data.groups[0]"]
    )


@pytest.mark.parametrize(
    "task",
    [
        Classification(labels=("a", "b")),
        text_pair_classification().fit(
            pl.DataFrame({"x": ["t", "t"], "y": ["t", "t"], "z": ["a", "b"]}), PAIR
        ),
        MultiLabelClassification(labels=("a", "b")),
        Ordinal(labels=("a", "b")),
        Regression(),
        TokenClassification(labels=("O", "B-X", "I-X")),
    ],
    ids=lambda task: task.name,
)
def test_the_metrics_known_to_check_are_those_that_the_tasks_measure(task):
    widths = {"multi_label_classification": 9, "ordinal": 9, "regression": 8, "token_classification": 5}
    names = set(task.scores(np.ones(widths.get(task.name, 6))))
    if task.name in ("classification", "text_pair_classification", "multi_label_classification"):
        names |= {(metric, label) for metric in ("auroc", "auprc") for label in ("", "a")}
    names |= {("spearman", "")} if task.name == "regression" else set()
    assert {name for name, label in names if not label} == set(metrics.OVERALL["performance"][task.name])
    assert {name for name, label in names if label} == set(metrics.per_class("performance", task.name))
    assert metrics.HEADLINES[task.name] == task.headline
    assert set(metrics.OVERALL["calibration"]) == set(metrics.BASELINES) == set(metrics.HEADLINES)


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (("target: sentiment", "target: [a, b]"), "data.target", "one per label, are the target of task"),
        (("use: classification", "use: text_pair_classification"), "data.inputs", "a pair of texts"),
        (
            ("{use: classification}", "{use: token_classification}"),
            "data.inputs",
            "finds entities in one text",
        ),
        (("{use: classification}", "{use: regression}"), "training.class_weights", "no classes to weigh"),
        (
            ("{use: classification}", "{use: multi_label_classification, threshold: half}"),
            "task.threshold",
            "tuned",
        ),
        (
            ("{use: classification}", "{use: multi_label_classification, threshold: 1.5}"),
            "task.threshold",
            "below 1",
        ),
    ],
)
def test_inputs_and_targets_that_a_task_can_t_take_are_refused(change, path, words):
    rest = "training: {class_weights: balanced}\n"
    text = text_of("hf:owner/name", rest=rest).replace(*change)
    if path == "data.inputs" and "entities" in words:
        text = text.replace("{text: text}", "{text: text, other: text}")
    assert words in said(text)[path]


def test_columns_of_0_and_1_need_no_separator_and_each_stands_once():
    task = "{use: multi_label_classification, separator: ','}"
    wrong = said(
        text_of("hf:owner/name").replace("{use: classification}", task).replace("sentiment", "[a, a]")
    )
    assert "stands twice" in wrong["data.target"]
    assert "nothing to part" in wrong["task.separator"]


def test_several_inputs_and_targets_pass_where_the_task_reads_them():
    text = text_of("hf:owner/name").replace("{text: text}", "{title: text, body: text, end: text}")
    assert tuple(checked(text).data.inputs) == ("title", "body", "end")
    several = text.replace("use: classification", "use: multi_label_classification")
    assert checked(several.replace("sentiment", "[a, b]")).data.target == ("a", "b")


def test_economies_under_a_privacy_budget_are_refused():
    charter = checked(text_of(rest="training: {economies: true}\n"))
    private = {**charter.model_dump(mode="json"), "privacy": {"epsilon": 8, "delta": 1e-5}}
    with pytest.raises(ValidationError, match="privacy budget"):
        Charter.model_validate(private)
    private["training"]["economies"] = False
    assert Charter.model_validate(private).privacy is not None


def test_limits_on_released_formats_need_no_audit_and_no_slice():
    audits = "audits: [{use: performance}]\n"
    limits = "limits: [format_agreement >= 0.98, size <= 30, {limit: latency <= 9, judge: point}]\n"
    assert len(checked(text_of(rest=audits + limits)).limits) == 3
    sliced = said(text_of(rest=audits + "limits: ['size[class=a] <= 30', latency >= 9]\n"))
    assert "by no slice" in sliced["limits[0]"]
    assert "less is better" in sliced["limits[1]"]


def test_a_task_that_mixes_examples_is_refused_under_a_privacy_budget():
    charter = checked(ASKED % ("text: text, topic: text", "", "sentence_embedding", ""))
    with pytest.raises(ValidationError, match="others of its batch"):
        Charter.model_validate({**charter.model_dump(mode="json"), "privacy": {"epsilon": 8, "delta": 1e-5}})


def test_the_tasks_that_mix_examples_are_known_by_name_where_no_task_is_loaded():
    mixing = [name for name in plugins.names("task") if plugins.make("task", name, {}).mixes]
    assert tuple(mixing) == MIXING


def test_two_sizes_of_a_batch_are_refused():
    wrong = text_of(rest="training: {batch_size: 16, tokens_per_batch: 2000}\n")
    assert any("give one of them" in message for message in said(wrong).values())


ASKED = 'name: a\ndata:\n  source: "sample:tweets"\n  inputs: {%s}\n%smodel: {base: "sample:minilm"}\ntask: {use: %s}\n%s'
TARGET = "  target: label\n"


@pytest.mark.parametrize(
    ("inputs", "data", "task", "rest", "path", "words"),
    [
        ("q: text", TARGET, "question_answering", "", "data.inputs", "question and the text"),
        (
            "q: text, c: text", TARGET + "  prepare: [{use: repair_text}, {use: drop_near_duplicates}]\n",
            "question_answering", "", "data.prepare[1]", "questions about one text are alike",
        ),
        ("q: text, c: text", "", "question_answering", "", "data.target", "is missing"),
        ("q: text", "", "sentence_embedding", "", "data.inputs", "one that belongs to it"),
        (
            "q: text, c: text", "", "sentence_embedding", "limits: [format_agreement >= 0.9]\n", "limits[0]",
            "alike by degrees only",
        ),
        (
            "q: text, c: text", "", "sentence_embedding", "training: {micro_batch_size: 8}\n",
            "training.micro_batch_size", "its whole batch",
        ),
        ("q: text, c: text", TARGET, "sentence_embedding", "", "data.target", "predicts nothing"),
        (
            "q: text, c: text", "", "sentence_embedding", "audits: [{use: calibration}]\n",
            "audits[0]", "states no probabilities",
        ),
        (
            "q: text, c: text", "", "sentence_embedding", "limits: [expected_calibration_error <= 0.1]\n",
            "limits[0]", "for task sentence_embedding",
        ),
        (
            "q: text, c: text", TARGET, "sentence_similarity", "training: {class_weights: balanced}\n",
            "training.class_weights", "no classes",
        ),
        ("q: text", TARGET, "multiple_choice", "", "data.inputs", "name the choices"),
        ("q: text, c: text", TARGET, "multiple_choice, stem: 2", "", "data.inputs", "the first 2 are the text"),
    ],
)  # fmt: skip
def test_what_a_task_of_several_texts_needs_is_said(inputs, data, task, rest, path, words):
    assert words in said(ASKED % (inputs, data, task, rest))[path]


def test_a_task_without_a_target_needs_none_and_every_other_one_does():
    whole = checked(
        ASKED % ("text: text, topic: text", "", "sentence_embedding", "limits: [ndcg_at_10 >= 0.2]\n")
    )
    assert whole.data.target is None
    assert "is missing" in said(ASKED % ("q: text", "", "classification", ""))["data.target"]


@pytest.mark.parametrize(
    ("task", "rest", "path", "words"),
    [
        ("classification", "training: {epochs: 0}\n", "training.epochs", "stays random"),
        ("ordinal", CONTRAST, "training.objective", "for task classification or text_pair_classification"),
        (
            "classification",
            "training: {objective: {use: contrastive}, class_weights: balanced}\n",
            "training.class_weights",
            "weighs no classes",
        ),
        (
            "classification",
            "training: {objective: {use: contrast}}\n",
            "training.objective.use",
            "contrastive",
        ),
        (
            "classification",
            "training: {objective: {use: contrastive, temperature: 2}}\n",
            "training.objective.temperature",
            "1 or less",
        ),
        ("classification, descriptions: {a: x}", "", "task.descriptions", "at least two"),
        ("classification, descriptions: {a: x, b: 7}", "", "task.descriptions", "accepted: text"),
        ("regression, descriptions: {a: x, b: y}", "", "task.descriptions", "unknown option"),
    ],
)
def test_what_few_examples_can_t_do_is_refused_at_its_key(task, rest, path, words):
    assert words in said(text_of(task=task, rest=rest))[path]


def test_contrast_needs_an_encoder_that_learns_or_no_epoch():
    text = text_of(rest=CONTRAST).replace('"sample:minilm"}', '"sample:minilm", adapt: {use: head}}')
    assert "write training.epochs: 0" in said(text)["training.objective"]
    assert checked(text.replace("contrastive}", "contrastive}, epochs: 0")).training.epochs == 0


def test_contrast_can_not_wait_for_the_head_to_learn_alone():
    text = text_of(rest=CONTRAST).replace('"sample:minilm"}', '"sample:minilm", adapt: {use: gradual}}')
    assert "add over: 0" in said(text)["training.objective"]
    checked(text.replace("gradual}", "gradual, over: 0}"))


def test_a_described_head_needs_no_epoch_and_then_nothing_is_learned_beside_it():
    told = 'limits: ["headline_gain[baseline=nearest_description] >= 0"]\n'
    described = "classification, descriptions: {a: x, b: y}"
    checked(text_of(task=described, rest=told))
    wrong = said(text_of(task=described, rest=f"training: {{epochs: 0}}\n{told}"))
    assert "no baseline 'nearest_description'" in wrong["limits[0]"]


def test_an_objective_that_mixes_examples_is_refused_under_a_privacy_budget():
    charter = checked(text_of(rest=CONTRAST))
    with pytest.raises(ValidationError, match="compares each example with the others"):
        Charter.model_validate({**charter.model_dump(mode="json"), "privacy": {"epsilon": 8, "delta": 1e-5}})


@pytest.mark.parametrize("kind", ["task", "objective"])
def test_whatever_mixes_examples_is_named_where_privacy_refuses_it(kind):
    named = {"task": MIXING, "objective": MIXING_OBJECTIVES}[kind]
    needed = {"multiple_choice": {}, "multi_label_classification": {}, "distillation": {"teacher": "t"}}
    made = {one: plugins.make(kind, one, needed.get(one, {}), None, None) for one in plugins.names(kind)}
    mixing = [name for name, one in made.items() if one.mixes]
    assert tuple(mixing) == named


def test_of_a_misspelt_task_no_target_is_asked_for():
    problems = said("name: a\ndata: {source: \"sample:tweets\", inputs: {text: text}}\nmodel: {base: \"sample:minilm\"}\n"
                    "task: {use: masked_language_modeling}\n")  # fmt: skip
    assert list(problems) == ["task.use"]
