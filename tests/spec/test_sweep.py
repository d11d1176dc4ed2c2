"""A sweep is read like the charter: each value makes a charter that is checked, and what is wrong is said of the value."""

import math

import pytest

from charter.errors import CharterError, CharterFileError
from charter.spec.sweep import read_sweep

CHARTER = """\
name: tweets
data: {source: rows.csv, inputs: {text: text}, target: label, groups: [city]}
model: {base: "sample:minilm"}
task: {use: classification}
training: {epochs: 1}
privacy: {epsilon: 8, delta: 1.0e-5}
audits: [{use: performance}, {use: calibration}]
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label,city\nfine,good,Oslo\n", encoding="utf-8")
    found = tmp_path / "charter.yaml"
    found.write_text(CHARTER, encoding="utf-8")
    return found


def test_each_value_makes_a_charter_under_its_own_name_and_the_data_keep_their_id(path):
    found = read_sweep(path, "privacy.epsilon=1,3.5,1e4,inf")
    assert [one.said for one in found.points] == ["1", "3.5", "10000", "inf"]
    assert [one.number for one in found.points] == [1, 3.5, 1e4, math.inf]
    assert [one.charter.privacy and one.charter.privacy.epsilon for one in found.points] == [
        1,
        3.5,
        1e4,
        None,
    ]
    assert {one.charter.data_id for one in found.points} == {"tweets"}
    assert [one.charter.name for one in found.points][:2] == [
        "tweets-sweep-epsilon-1",
        "tweets-sweep-epsilon-3.5",
    ]


@pytest.mark.parametrize(
    ("asked", "said", "numbers"),
    [
        ("training.seed=1,2", ["1", "2"], [1, 2]),
        (
            "model.adapt={use: lora, rank: 4},{use: head}",
            ['{"use": "lora", "rank": 4}', '{"use": "head"}'],
            [None, None],
        ),
        ("model.adapt.use=head,full", ["head", "full"], [None, None]),
        ("audits[0].confidence=0.9,0.95", ["0.9", "0.95"], [0.9, 0.95]),
        ("privacy.noise_bias_correction=true,false", ["true", "false"], [None, None]),
        ("training.micro_batch_size=null,8", ["null", "8"], [None, 8]),
    ],
)
def test_any_key_can_be_swept(path, asked, said, numbers):
    found = read_sweep(path, asked)
    assert [one.said for one in found.points] == said
    assert [one.number for one in found.points] == numbers
    assert len({one.charter.name for one in found.points}) == 2


@pytest.mark.parametrize(
    ("asked", "because"),
    [
        ("privacy.epsilon", "such as privacy.epsilon=1,3,8,inf"),
        ("privacy.epsilon=", "names no value"),
        ("privacy.epsilon=8", "two values or more"),
        ("privacy.epsilon=1,,3", "--sweep privacy.epsilon=1,,3: not YAML"),
        ("privacy.epsilon=8,8.0", "8 and 8 make the same charter"),
        ("privacy.epsilon=1,-3", "--sweep privacy.epsilon=-3: privacy.epsilon: "),
        ("privacy.epsilon=1,lots", "--sweep privacy.epsilon=lots: privacy.epsilon: "),
        ("training.sed=1,2", "training.sed: unknown key. Did you mean 'seed'"),
        ("learning_rate=1,2", "learning_rate: unknown key"),
        ("training.learning_rate=1e-5,inf", "--sweep training.learning_rate=inf: "),
        ("audits[7].confidence=0.9,0.95", "the charter's list has 2 items there"),
        ("training.epochs.more=1,2", "no keys at the place of 'more'"),
        ("data.privacy_budget.epsilon=1,2", "no setting to try out"),
        ("name=a,b", "no setting to try out"),
        ("training.economies=true,false", "--sweep training.economies=true: training.economies: "),
    ],
)
def test_what_is_wrong_is_said_of_the_value_and_of_no_line(path, asked, because):
    with pytest.raises(CharterError) as caught:
        read_sweep(path, asked)
    assert because in str(caught.value)
    assert "charter.yaml:" not in str(caught.value)
    assert not isinstance(caught.value, CharterFileError)


def test_a_file_with_problems_of_its_own_is_told_with_its_lines(path):
    path.write_text(CHARTER.replace("epochs: 1", "epochs: many"), encoding="utf-8")
    with pytest.raises(CharterFileError, match=r"charter\.yaml:5"):
        read_sweep(path, "privacy.epsilon=1,2")
