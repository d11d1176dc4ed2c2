"""What a charter may ask of the audit fairness and limit of it: every mistake is told with its key, before any model is trained."""

import pytest

from charter import spec
from charter.errors import CharterFileError

CHARTER = """\
name: loans
data: {{source: loans.csv, inputs: {{text: text}}, target: label, groups: {groups}}}
model: {{base: "sample:minilm"}}
task: {{use: classification}}
audits:
  - {{use: performance}}
  - {audit}
limits:
  - {limit}
"""


def problems(folder, *, groups="[sex, race]", audit="{use: fairness}", limit="accuracy >= 0.5"):
    (folder / "loans.csv").write_text("text,label,sex,race\na,b,f,x\nc,d,m,y\n", encoding="utf-8")
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(groups=groups, audit=audit, limit=f"'{limit}'"), encoding="utf-8")
    try:
        spec.read(path)
    except CharterFileError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "limit",
    [
        "equalised_odds_difference[across=sex] <= 0.1",
        "demographic_parity_ratio[across=sex & race] >= 0.8",
        "worst_group_accuracy[across=*] >= 0.7",
        "true_positive_rate[class=approved, sex=*] >= 0.6",
        "selection_rate[class=approved, sex=f, race=x] <= 0.6",
        "selection_rate[class=approved, sex=f] >= 0.2",
        "overconfidence[race=x] <= 0.05",
        "selection_rate_contrast[class=approved, sex=f, reference=m] >= -0.1",
        "headline_difference[across=race] <= 0.1",
    ],
)
def test_what_the_audit_measures_can_be_limited(tmp_path, limit):
    assert problems(tmp_path, limit=limit) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"groups": "[]"}, "compares groups, and data.groups names no column"),
        ({"audit": "{use: fairness, reference: {age: old}}"}, "'age' is not in data.groups"),
        ({"limit": "equalised_odds_difference <= 0.1"}, "write equalised_odds_difference[across=sex]"),
        ({"limit": "equalised_odds_difference[across=age] <= 0.1"}, "where the columns are: sex, race"),
        ({"limit": "equalised_odds_difference[across=race & sex] <= 0.1"}, "across=sex & race"),
        ({"limit": "equalised_odds_difference[across=sex] >= 0.1"}, "asks for a bad model"),
        ({"limit": "demographic_parity_ratio[across=sex] <= 0.8"}, "asks for a bad model"),
        ({"limit": "true_positive_rate[sex=f] >= 0.6"}, "write true_positive_rate[class=NAME, sex=GROUP]"),
        ({"limit": "true_positive_rate[class=approved, age=old] >= 0.6"}, "'age' is not in data.groups"),
        (
            {"limit": "mean_error_difference[across=sex] <= 1"},
            "no audit measures 'mean_error_difference' for task classification",
        ),
        ({"limit": "selection_rate[class=approved, sex=f] >= 1.2"}, "lies within 0 and 1"),
        ({"groups": "[across]"}, "'across' is what findings call a slice of their own"),
        (
            {"audit": "{use: calibration}", "limit": "equalised_odds_difference[across=sex] <= 0.1"},
            "add {use: fairness} to audits",
        ),
    ],
)
def test_what_it_never_measures_is_said(tmp_path, change, said):
    assert said in problems(tmp_path, **change)
