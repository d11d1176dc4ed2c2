"""What a charter may ask of audits of the privacy claim: every mistake is told with its line, before any model is trained."""

import pytest

from charter import spec
from charter.errors import CharterFileError

CHARTER = """\
name: reviews
data: {{source: reviews.csv, inputs: {{text: text}}{target}}}
model: {model}
task: {{use: {task}}}
audits:
  - {{use: performance}}
  - {audit}
limits:
  - {limit}
"""
READER = '{base: "sample:minilm"}'
WRITER = "{architecture: {use: gpt2, n_embd: 32, n_layer: 2, n_head: 2}, tokenizer: {use: bpe, size: 320}}"
MEMBERSHIP, BOUND, EXTRACTION = (
    f"{{use: {one}}}" for one in ("membership_inference", "privacy_lower_bound", "extraction")
)


def problems(folder, *, task="classification", audit=MEMBERSHIP, limit="accuracy >= 0.5"):
    writes = task == "causal_language_modelling"
    target, model = ("", WRITER) if writes else (", target: label", READER)
    (folder / "reviews.csv").write_text("text,label\na,b\nc,d\n", encoding="utf-8")
    path = folder / "charter.yaml"
    text = CHARTER.format(task=task, audit=audit, limit=limit, target=target, model=model)
    path.write_text(text, encoding="utf-8")
    try:
        spec.read(path)
    except CharterFileError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("audit", "limit"),
    [
        (MEMBERSHIP, "membership_tpr_at_1pct_fpr <= 0.02"),
        (MEMBERSHIP, "membership_tpr_at_0.1pct_fpr <= 0.005"),
        (MEMBERSHIP, "membership_auc[attack=lira] <= 0.55"),
        (MEMBERSHIP, "membership_auc[attack=*] <= 0.55"),
        (BOUND, "{limit: epsilon_lower_bound <= 4, judge: point}"),
    ],
)
def test_limits_on_what_is_measured_are_accepted(tmp_path, audit, limit):
    assert problems(tmp_path, audit=audit, limit=limit) == ""


@pytest.mark.parametrize("limit", ["canary_exposure[repeated=1] <= 3", "verbatim_continuation_rate <= 0.01",
                                   "canaries_extracted[repeated=*] <= 0.2", "verbatim_continuation_rate[split=test] <= 0.1"])  # fmt: skip
def test_limits_on_extraction_are_accepted_for_models_that_write(tmp_path, limit):
    assert problems(tmp_path, task="causal_language_modelling", audit=EXTRACTION, limit=limit) == ""


@pytest.mark.parametrize(
    ("audit", "limit", "said"),
    [
        (MEMBERSHIP, "membership_auc >= 0.5", "asks for a bad model"),
        (MEMBERSHIP, "membership_auc <= 5", "lies within 0 and 1"),
        (MEMBERSHIP, "membership_auc[attack=guess] <= 0.5", "there is no attack 'guess'"),
        (MEMBERSHIP, "membership_auc[class=a] <= 0.5", "over all judged rows"),
        (MEMBERSHIP, "canary_exposure[repeated=1] <= 3", "add {use: extraction}"),
        (BOUND, "epsilon_lower_bound <= 4", "judge: point}"),
        ("{use: calibration}", "membership_auc <= 0.5", "add {use: membership_inference}"),
    ],
)
def test_limits_that_say_nothing_are_told_with_their_line(tmp_path, audit, limit, said):
    told = problems(tmp_path, audit=audit, limit=limit)
    assert said in told
    assert ":9  limits[0]" in told


@pytest.mark.parametrize(
    ("audit", "said"),
    [
        ("{use: membership_inference, shadow_models: 1}", "shadow_models: 2"),
        ("{use: membership_inference, attack: [lirra]}", "attack"),
        ("{use: membership_inference, shadows: 4}", "unknown"),
        ("{use: privacy_lower_bound, canaries: 4}", "canaries"),
        ("{use: extraction}", "task classification writes no texts"),
    ],
)
def test_mistakes_of_the_audits_are_told_with_their_line(tmp_path, audit, said):
    told = problems(tmp_path, audit=audit)
    assert said in told
    assert ":7  audits[1]" in told


def test_a_task_that_does_not_say_how_likely_the_truth_is_cannot_be_audited(tmp_path):
    assert "does not say how likely" in problems(tmp_path, task="regression", limit="mae <= 3")


def test_siblings_cannot_be_trained_by_a_teacher_that_answered_other_rows(tmp_path):
    path = tmp_path / "charter.yaml"
    text = CHARTER.format(
        task="classification",
        audit=MEMBERSHIP,
        limit="accuracy >= 0.5",
        target=", target: label",
        model=READER,
    )
    path.write_text(text + "training: {objective: {use: distillation, teacher: old}}\n", encoding="utf-8")
    with pytest.raises(CharterFileError, match="trains siblings on other rows"):
        spec.read(path)


def test_a_limit_on_the_spent_epsilon_is_told_that_it_is_judged_anyway(tmp_path):
    said = problems(tmp_path, limit="epsilon <= 3")
    assert "judged without a limit, against privacy.epsilon" in said and "epsilon_lower_bound" in said
