"""What can't be searched is said with its line; what can reads back equal."""

from pathlib import Path

import pytest

from charter.errors import CharterFileError
from charter.spec import check, parse_document, written

CHARTER = """\
name: a
data: {{source: {source}, inputs: {{text: text}}, target: sentiment}}
model: {{base: "sample:minilm"}}
task: {{use: classification}}
training:
  micro_batch_size: 8
  search: {search}
"""


def charter_of(search, source='"sample:tweets"'):
    return check(parse_document(CHARTER.format(search=search, source=source), Path("charter.yaml")))


@pytest.mark.parametrize(
    "search",
    [
        "{learning_rate: [1.0e-5, 1.0e-4], trials: 12}",
        "{batch_size: {choices: [8, 1.6e1]}, epochs: [1, 3], prune: null}",
        "{schedule: {choices: [linear, cosine]}, class_weights: {choices: [balanced, null]}, prune: successive_halving}",
        "{max_grad_norm: {choices: [1.0, null]}, warmup: [0, 0.2], weight_decay: {choices: [0, 0.01]}}",
    ],
)
def test_a_search_reads_back_equal(search):
    charter = charter_of(search)
    assert check(parse_document(written(charter), Path("charter.yaml"))) == charter


@pytest.mark.parametrize(
    ("search", "path", "words"),
    [
        ("{}", "training.search", "nothing is searched"),
        ("{trials: 3}", "training.search", "nothing is searched"),
        ("{learning_rate: [1e-4, 1e-5]}", "training.search.learning_rate", "no range"),
        ("{learning_rate: [1e-4, 1e-4]}", "training.search.learning_rate", "no range"),
        ("{learning_rate: 1e-4}", "training.search.learning_rate", "accepted: [low, high]"),
        ("{learning_rate: [1e-5, 1e-4, 1e-3]}", "training.search.learning_rate", "a list of 3"),
        ("{learning_rate: [1e-5, 20]}", "training.search.learning_rate[1]", "10 or less"),
        ("{learning_rate: [1e-5, 1e-4], trials: 0}", "training.search.trials", "1 or more"),
        ("{learning_rat: [1e-5, 1e-4]}", "training.search.learning_rat", "Did you mean 'learning_rate'?"),
        ("{rank: [4, 8]}", "training.search.rank", "unknown key"),
        ("{weight_decay: [0, 0.1]}", "training.search.weight_decay", "order of magnitude"),
        ("{batch_size: [8.5, 16]}", "training.search.batch_size[0]", "whole number"),
        ("{batch_size: {choices: [4, 16]}}", "training.search.batch_size.choices[0]", "larger than batch_size"),
        ("{batch_size: {choices: [16, 16]}}", "training.search.batch_size.choices", "stands twice"),
        ("{schedule: [linear, cosine]}", "training.search.schedule", "{choices: [...]}"),
        ("{schedule: {choices: [cosin]}}", "training.search.schedule.choices[0]", "Did you mean 'cosine'?"),
        ("{warmup: [0, 1]}", "training.search.warmup[1]", "below 1"),
        ("{learning_rate: [1e-5, 1e-4], prune: yes}", "training.search.prune", "median"),
    ],
)  # fmt: skip
def test_what_can_not_be_searched_is_said_with_its_line(search, path, words):
    with pytest.raises(CharterFileError) as caught:
        charter_of(search)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (7, path)
    assert words in problem.message


def test_a_search_without_validation_rows_is_refused():
    with pytest.raises(
        CharterFileError, match=r"training\.search: there are no validation rows to choose by"
    ):
        charter_of("{learning_rate: [1e-5, 1e-4]}", '{train: "sample:tweets", test: "sample:tweets"}')
