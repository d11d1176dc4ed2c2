"""The page of a real sweep: every point on it, in both languages, and as JSON; nothing of it is a release."""

import json
import math
import random
from dataclasses import replace

import pytest

pytest.importorskip("dp_accounting")

from charter.cli import run_command
from charter.pipeline.sweeping import sweep
from charter.privacy import accounting
from charter.release.report.sweep import points_table, render_sweep, sweep_opening
from charter.release.report.sweep_plot import Drawn, course, scale_of
from charter.release.report.wording import Wording

from .conftest import write_reviews
from .test_chinese import TWO_WORDS, shown

CHARTER = """\
name: reviews
data: {{source: reviews.csv, inputs: {{text: text}}, target: label, groups: [city], public: true, max_bad_rows: 0.1,
  split: {{test: 0.4, validation: 0.1}}}}
model: {{base: "{base}", max_length: 16, adapt: {{use: head}}}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 64, precision: float32}}
privacy: {{epsilon: 8, delta: 1.0e-4}}
audits: [{{use: performance, resamples: 100, minimum_n: 10}}]
limits: [accuracy >= 0.01]
"""


@pytest.fixture(scope="module")
def path(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    write_reviews(folder / "reviews.csv")
    found = folder / "charter.yaml"
    found.write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def swept(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            accounting, "LOWEST", 0.6
        )  # this budget needs more noise, and at less the accountant is slow
        patch.setattr(accounting, "PRECISION", 0.01)
        return sweep(path, "privacy.epsilon=4,inf")


def test_points_are_judged_and_compared_with_the_one_without_privacy_and_never_released(swept, path):
    private, plain = swept.points
    assert (private.number, plain.number) == (4, math.inf)
    assert plain.place == 0
    assert swept.noise(private) > 0
    assert swept.noise(plain) is None
    assert swept.kept(plain) == (1, 1)
    assert {swept.record(one).status for one in swept.points} == {"sweep"}
    assert not (path.parent / "release").exists()
    for one in swept.points:
        assert one.gaps[0].low <= one.gaps[0].value <= one.gaps[0].high
    groups = swept.groups["city"]
    assert len(groups) >= 2
    for group in groups:
        found = private.losses["city"][group].value
        scores = [swept.of_group(one, "city", group).value for one in swept.points]
        assert found == pytest.approx(scores[0] - scores[1], abs=1e-6)


def test_the_page_tells_every_point_in_both_languages(swept):
    english = render_sweep(swept)
    assert "2 values of privacy.epsilon" in english
    assert "no privacy" in english
    assert "no point was charged" in english
    chinese = shown(render_sweep(swept, language="zh"))
    assert [piece for piece in chinese if TWO_WORDS.search(piece)] == []
    rows = points_table(swept, Wording("en")).rows
    assert [row[0].text for row in rows] == ["4", "inf"]
    assert [row[-1].text for row in rows] == ["2 of 2 kept", "1 of 1 kept"]


def with_answers(swept, *given):
    """The same sweep, but of points whose models answer so many rows with the first class and with the second."""
    runs = list(swept.comparison.runs)
    for point, (first, second) in zip(swept.points, given, strict=True):
        record = runs[point.place].record
        found = tuple(
            replace(
                one, attachment={**one.attachment, "labels": ["bad", "good"], "counts": [[first, second]]}
            )
            if one.metric == "confusion"
            else one
            for one in record.findings
        )
        runs[point.place] = replace(runs[point.place], record=replace(record, findings=found))
    return replace(swept, comparison=replace(swept.comparison, runs=tuple(runs)))


def test_values_at_which_one_answer_is_given_to_all_rows_are_told(swept):
    lines = {
        say: sweep_opening(with_answers(swept, (9, 0), (4, 5)), Wording(say)).lines for say in ("en", "zh")
    }
    (said,) = [one for one in lines["en"] if "One answer" in one]
    assert said.startswith("One answer for all test rows at epsilon=4 (bad): ")
    assert "epsilon=inf" not in said
    assert any("epsilon=4（bad）" in one for one in lines["zh"])
    rows = points_table(with_answers(swept, (9, 0), (4, 5)), Wording("en")).rows
    assert [row[0].note for row in rows] == ["always bad", "no privacy"]
    (said,) = [
        one
        for one in sweep_opening(with_answers(swept, (9, 0), (0, 9)), Wording("en")).lines
        if "one answer" in one
    ]
    assert said.startswith(
        "At every value the model gives one answer for all test rows: epsilon=4 (bad), epsilon=inf (good)."
    )
    assert not any(
        "ne answer" in one for one in sweep_opening(with_answers(swept, (4, 5), (5, 4)), Wording("en")).lines
    )
    assert [one["one_answer"] for one in with_answers(swept, (9, 0), (4, 5)).as_json()["points"]] == [
        "bad",
        None,
    ]


def test_a_point_stacked_on_a_phone_keeps_the_name_of_its_value(swept):
    page = render_sweep(swept)
    assert 'class="own" data-heading="epsilon"' in page


def test_the_command_prints_json_and_refuses_what_a_sweep_has_no_use_for(swept, path, tmp_path, capsys):
    page = tmp_path / "page.html"
    told = ["run", str(path), "--sweep", "privacy.epsilon=4,inf"]
    assert run_command([*told, "--json", "--page", str(page)]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [one["value"] for one in value["points"]] == ["4", "inf"]
    assert value["points"][0]["score"]["value"] == swept.score(swept.points[0]).value
    assert page.is_file()
    assert run_command([*told, "--draft"]) == 2
    assert run_command(["run", str(path), "--json"]) == 2
    assert run_command(["run", str(path), "--sweep", "training.sed=1,2"]) == 2
    assert "Did you mean 'seed'" in capsys.readouterr().err


def test_values_stand_by_their_order_of_magnitude_by_their_size_or_side_by_side():
    assert scale_of([1, 8, math.inf], epsilon=True) == "logarithmic"
    assert scale_of([1, 2, 3], epsilon=False) == "linear"
    assert scale_of([1e-5, 1e-3], epsilon=False) == "logarithmic"
    assert scale_of([1, None], epsilon=False) == "names"
    rng = random.Random(3)
    points = [Drawn(str(one), float(one), rng.random(), 0.0, 1.0) for one in (1, 10, 100)]
    drawing = course(
        "t", [*points, Drawn("inf", math.inf, 0.5, None, None)], "logarithmic", "epsilon", "none"
    )
    centres = [float(part.split('"')[0]) for part in drawing.split('<circle cx="')[1:]]
    assert centres[1] - centres[0] == pytest.approx(centres[2] - centres[1], abs=0.2)
    assert centres[3] > centres[2] + 20
    assert "none" in drawing
