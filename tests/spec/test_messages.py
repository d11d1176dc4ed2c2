"""Every message says what was found and what to write; nothing is taken for what it is not; no library's words show."""

import re
from pathlib import Path

import pytest

from charter.errors import CharterFileError
from charter.spec import check, parse_document

JARGON = re.compile(
    r"instance of|dictionary|tuple|boolean|integer|valid string|after validation|Input should|None\b|frozen"
)


def text_of(**parts: str) -> str:
    chosen = {
        "top": "name: a", "source": '"sample:tweets"', "inputs": "{text: text}", "target": "sentiment", "data": "",
        "model": '{base: "sample:minilm"}', "task": "{use: classification}", "rest": "", **parts,
    }  # fmt: skip
    return (
        "{top}\ndata:\n  source: {source}\n  inputs: {inputs}\n  target: {target}\n{data}model: {model}\ntask: {task}\n{rest}"
    ).format(**chosen)


def said(text: str) -> dict[str, str]:
    with pytest.raises(CharterFileError) as caught:
        check(parse_document(text, Path("charter.yaml")))
    assert not [one.message for one in caught.value.problems if JARGON.search(one.message)]
    paths = [one.path for one in caught.value.problems]
    assert len(paths) == len(set(paths)), "two problems are told of one value"
    return {one.path: one.message for one in caught.value.problems}


@pytest.mark.parametrize(
    ("parts", "path", "words"),
    [
        ({"task": "classification"}, "task", "write {use: classification}"),
        ({"task": "[classification]"}, "task", "write {use: NAME}"),
        ({"task": "{}"}, "task.use", "is missing"),
        ({"task": "clasification"}, "task", "found the text"),
        ({"rest": "audits: [performance]"}, "audits[0]", "write {use: performance}"),
        ({"rest": "audits: performance"}, "audits", "write [{use: performance}]"),
        ({"data": "  prepare: repair_text\n"}, "data.prepare", "write [{use: repair_text}]"),
        ({"data": "  groups: topic\n"}, "data.groups", "write [topic]"),
        ({"rest": "limits: macro_f1 >= 0.5"}, "limits", "write [macro_f1 >= 0.5]"),
        ({"rest": "limits: [{limit: macro_f1 >= 0.5, judge: mean}]"}, "limits[0]", "'interval' and 'point'"),
        ({"inputs": "text"}, "data.inputs", "inputs: {text: text}"),
        ({"inputs": "{}"}, "data.inputs", "at least 1"),
        ({"source": "5"}, "data.source", 'write it in quotes, "5"'),
        ({"source": "{}"}, "data.source", "at least 1"),
        ({"source": '{train: 5, test: "sample:tweets"}'}, "data.source.train", 'write it in quotes, "5"'),
        ({"rest": "training:"}, "training", "leave the key out"),
        ({"rest": "purpose: to sort mail"}, "purpose", "purpose: {intended_use: TEXT}"),
        ({"rest": "report: [en]"}, "report", "found a list"),
        ({"rest": "report: {language: fr}"}, "report.language", "accepted: en, zh"),
        ({"rest": "release: {formats: []}"}, "release.formats", "at least 1"),
        ({"rest": "release: {formats: [1]}"}, "release.formats[0]", 'in quotes, "1"'),
        ({"top": "name: 2024"}, "name", 'in quotes, "2024"'),
        ({"top": "name: my model"}, "name", "without spaces"),
        ({"top": "nam: a"}, "name", "such as name: reviews"),
        ({"target": '""'}, "data.target", "at least one character"),
        ({"data": "  groups: [__x]\n"}, "data.groups[0]", "two underscores"),
        ({"data": "  split: {test: 1}\n"}, "data.split.test", "below 1"),
        ({"rest": "training: {epochs: -1}"}, "training.epochs", "0 or more"),
    ],
)  # fmt: skip
def test_a_message_says_what_to_write(parts, path, words):
    found = said(text_of(**parts)) if parts.get("task") != "clasification" else None
    if found is None:
        with pytest.raises(CharterFileError, match="Did you mean 'classification'"):
            check(parse_document(text_of(**parts), Path("charter.yaml")))
        return
    assert words in found[path]


@pytest.mark.parametrize(
    ("parts", "path", "words"),
    [
        ({"data": "  public: yes\n"}, "data.public", "write true"),
        ({"data": "  public: off\n"}, "data.public", "write false"),
        ({"data": '  public: "true"\n'}, "data.public", "write true"),
        ({"data": "  public: 1\n"}, "data.public", "true or false"),
        ({"data": '  max_rows: "2000"\n'}, "data.max_rows", "write 2000 without quotes"),
        ({"data": "  max_rows: true\n"}, "data.max_rows", "whole number"),
        ({"data": "  max_rows: 2.5\n"}, "data.max_rows", "whole number"),
        ({"data": '  max_bad_rows: "0.5"\n'}, "data.max_bad_rows", "without quotes"),
        ({"data": "  split: {test: true}\n"}, "data.split.test", "a number"),
        ({"data": '  split: {validation: "0.1"}\n'}, "data.split.validation", "without quotes"),
        ({"data": "  split: {stratify: no}\n"}, "data.split.stratify", "write false"),
        ({"rest": 'training: {learning_rate: "1e-3"}'}, "training.learning_rate", "without quotes"),
        ({"rest": "privacy: {epsilon: inf, delta: 1.0e-5}"}, "privacy.epsilon", "a number, not an infinite one"),
        ({"rest": "training: {learning_rate: 0x" + "f" * 298 + "}"}, "training.learning_rate", "a number"),
        ({"data": "  prepare: [{use: mask_pii, urls: yes}]\n"}, "data.prepare[0].urls", "write true"),
        ({"data": "  prepare: [{use: mask_pii, locales: en}]\n"}, "data.prepare[0].locales", "write [en]"),
        ({"data": "  prepare: [{use: mask_pii, locales: [fr]}]\n"}, "data.prepare[0].locales[0]", "en, zh"),
        ({"data": "  prepare: [{use: mask_pii, url: true}]\n"}, "data.prepare[0].url", "Did you mean 'urls'"),
        ({"data": "  prepare: [{use: repair_text, html_entities: 1}]\n"}, "data.prepare[0].html_entities", "true or"),
        ({"rest": 'audits: [{use: performance, resamples: "200"}]'}, "audits[0].resamples", "write 200 without"),
        ({"rest": "audits: [{use: performance, resamples: true}]"}, "audits[0].resamples", "whole number"),
        ({"rest": "audits: [{use: performance, confidence: 2}]"}, "audits[0].confidence", "below 1"),
    ],
)  # fmt: skip
def test_nothing_is_taken_for_a_number_or_a_truth_value_that_is_none(parts, path, words):
    assert words in said(text_of(**parts))[path]


def test_a_whole_number_may_be_a_float_and_a_list_serves_where_a_plug_in_wants_a_tuple():
    text = text_of(
        data="  max_rows: 2e3\n  max_bad_rows: 1\n  prepare: [{use: mask_pii, locales: [en]}]\n",
        rest="training: {max_grad_norm: 1}\naudits: [{use: performance, resamples: 2e2, confidence: 0.9}]\n",
    )
    charter = check(parse_document(text, Path("charter.yaml")))
    assert (charter.data.max_rows, type(charter.data.max_rows)) == (2000, int)
    assert (charter.data.max_bad_rows, type(charter.data.max_bad_rows)) == (1.0, float)
    from charter import plugins

    assert plugins.resolve("audit", "performance", charter.audits[0].options)["resamples"] == 200
    assert plugins.resolve("preparation", "mask_pii", {"locales": ("en",)})["locales"] == ("en",)


def test_a_list_whose_items_are_wrong_is_not_called_too_short_as_well():
    assert list(said(text_of(rest="release: {formats: [1]}"))) == ["release.formats[0]"]
    assert list(said(text_of(data="  prepare: [{use: mask_pii, locales: [fr]}]\n"))) == [
        "data.prepare[0].locales[0]"
    ]
