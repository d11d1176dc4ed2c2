"""Comparing real runs: found by every name, paired only on the same rows, told in both languages, as page and as JSON."""

import dataclasses
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import charter
from charter.cli import run_command
from charter.errors import BundleError, CharterError, StoreError
from charter.release.comparison import Compared, Comparison
from charter.release.report.comparison import render_comparison
from charter.runs.findings import Finding
from charter.runs.gc import clean
from charter.runs.store import Store
from charter.spec.differences import differences
from charter.spec.pretraining import Pretraining

from .conftest import write_reviews
from .test_chinese import TWO_WORDS, shown
from .test_page import CHROMIUM, OVERFLOW, browser, opened  # noqa: F401

CHARTER = """\
name: {name}
data:
  source: reviews.csv
  id: reviews
  inputs: {{text: text}}
  target: label
  groups: [city]
  max_bad_rows: 0.1
  split: {{test: 0.4, validation: 0.1, seed: {split}}}
model: {{base: "{base}", max_length: 32, adapt: {{use: {adapt}}}}}
task: {{use: classification}}
training: {{epochs: {epochs}, batch_size: 16, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}, {{use: calibration, resamples: 100}}]
limits: {limits}
"""
DIFFERENT = {
    "plain": {"epochs": 1, "adapt": "head", "limits": "[accuracy >= 0.1]"},
    "longer": {
        "epochs": 3,
        "adapt": "full",
        "limits": "[accuracy >= 0.1, {limit: mcc >= 0.99, judge: point}]",
    },
    "elsewhere": {"epochs": 1, "adapt": "head", "limits": "[accuracy >= 0.1]", "split": 9},
}


@dataclass(frozen=True)
class Runs:
    folder: Path
    results: dict

    @property
    def store(self):
        return self.folder / "runs"


@pytest.fixture(scope="module")
def runs(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    write_reviews(folder / "reviews.csv")
    results = {}
    for name, said in DIFFERENT.items():
        path = folder / f"{name}.yaml"
        path.write_text(
            CHARTER.format(**{"split": 7, "name": name, "base": tiny_bert, **said}), encoding="utf-8"
        )
        results[name] = charter.run(path, draft=True)
    return Runs(folder, results)


@pytest.fixture(scope="module")
def comparison(runs):
    return charter.compare(["plain", "longer", "elsewhere"], store=runs.store)


def test_runs_are_found_by_id_name_folder_bundle_and_charter_file(runs):
    plain, longer = runs.results["plain"], runs.results["longer"]
    for one in (
        plain.run_id,
        "plain",
        plain.folder,
        runs.folder / "plain.yaml",
        plain.bundle,
        str(plain.bundle),
    ):
        found = charter.compare([one, "longer"], store=runs.store)
        assert [run.record.run_id for run in found.runs] == [plain.run_id, longer.run_id]
        assert found.pairs[0].pairing is not None


def test_runs_on_the_same_rows_are_paired_and_others_are_not(comparison):
    same, other = comparison.pairs
    assert same.pairing.rows == comparison.scores()[0].findings[0].n
    assert other.pairing is None
    assert other.because == "they were judged on different test rows"
    assert 0 < other.shared_rows < same.pairing.rows
    assert comparison.conclusion(other) in ("apart", "overlapping")


def test_a_paired_difference_is_that_of_the_scores(comparison):
    for metric in ("accuracy", "macro_f1", "brier", "auroc"):
        ours, theirs, _ = next(one for one in comparison.scores() if one.metric == metric).findings
        found = comparison.difference(comparison.pairs[0], metric)
        assert found.value == pytest.approx(theirs.value - ours.value, abs=1e-6)
        assert found.low <= found.value <= found.high


def test_p_values_are_corrected_for_the_number_of_paired_runs(runs):
    alone = charter.compare(["plain", "longer"], store=runs.store)
    one = alone.difference(alone.pairs[0], "macro_f1")
    assert one.p_adjusted == one.p_value


def test_charters_differ_key_by_key_with_defaults(comparison):
    changes = {change.key: change.values for change in comparison.changes()}
    assert changes["training.epochs"] == ("1", "3", "1")
    assert changes["model.adapt"] == ('"head"', '"full"', '"head"')
    assert changes["data.split.seed"] == ("7", "7", "9")
    assert changes["limits[mcc >= 0.99].judge"] == (None, '"point"', None)
    assert "name" not in changes
    assert not any(key.startswith("data.prepare") for key in changes)


def test_what_only_one_charter_has_and_leaves_unset_is_no_difference(comparison):
    first = comparison.runs[0].record.charter
    searching = first.model_dump(mode="json") | {
        "training": {
            **first.training.model_dump(mode="json"),
            "search": {"trials": 3, "learning_rate": [1e-5, 1e-4]},
        }
    }
    found = {one.key: one.values for one in differences([first, type(first).model_validate(searching)])}
    assert found["training.search.trials"] == (None, "3")
    assert not {"training.search", "training.search.warmup"} & set(found)


def test_costs_and_limits_are_those_of_each_run(runs, comparison):
    costs = comparison.costs()
    assert costs["trainable_parameters"][0] < costs["trainable_parameters"][1]
    weights = runs.results["plain"].bundle / "model.safetensors"
    assert costs["size_bytes"][0] > weights.stat().st_size
    assert "energy_joules" not in costs  # no run measured it, so nothing is said of it
    assert comparison.limits()["mcc >= 0.99"] == (None, "broken", None)


def test_the_energy_of_runs_is_compared_where_it_was_measured_before_the_task_too(runs):
    measured = Finding("training", "energy_joules", 7200.0, unit="joules", method="counted")
    before = replace(measured, area="pretraining", value=3600.0)
    record = runs.results["plain"].record
    kept = [one for one in record.findings if one.metric != "energy_joules"]

    def energy(*findings, pretraining=None):
        charter = record.charter.model_copy(update={"pretraining": pretraining})
        one = replace(record, findings=(*kept, *findings), charter=charter)
        return Comparison((Compared("one", one), Compared("other", record)), ()).costs().get("energy_joules")

    assert energy(measured) == (7200.0, None)
    asked = Pretraining.model_validate({"source": "texts.jsonl"})
    assert energy(measured, before, pretraining=asked) == (10800.0, None)
    assert energy(measured, pretraining=asked) is None


def test_answers_that_gc_removed_are_said_to_be_gone(runs, tmp_path):
    kept = tmp_path / "runs"
    shutil.copytree(runs.store, kept)
    bundle = runs.results["plain"].bundle
    away = shutil.copytree(bundle, tmp_path / "elsewhere" / "plain")
    shutil.rmtree(kept / runs.results["plain"].run_id)
    clean(Store(kept))
    found = charter.compare([away, "longer"], store=kept)
    assert "no longer in the store" in found.pairs[0].because
    assert found.conclusion(found.pairs[0]) in ("apart", "overlapping")


def test_what_can_not_be_compared_is_refused_with_what_there_is(runs, tmp_path):
    with pytest.raises(CharterError, match="two runs or more"):
        charter.compare(["plain"], store=runs.store)
    with pytest.raises(CharterError, match="named twice"):
        charter.compare(["plain", runs.results["plain"].run_id], store=runs.store)
    with pytest.raises(StoreError, match="judged runs of: plain, longer, elsewhere"):
        charter.compare(["plain", "nobody"], store=runs.store)
    changed = shutil.copytree(runs.results["plain"].bundle, tmp_path / "changed")
    (changed / "README.md").write_text("better than it was", encoding="utf-8")
    with pytest.raises(BundleError):
        charter.compare([changed, "longer"], store=runs.store)


def test_the_command_writes_a_page_and_prints_a_table_or_json(runs, capsys):
    given = ["compare", "plain", "longer", "--store", str(runs.store)]
    assert run_command(given) == 0
    told = capsys.readouterr().out
    assert "2 runs compared: plain, longer" in told
    assert "training.epochs" in told
    assert list((runs.store / "comparisons").glob("*.html"))
    assert run_command([*given, "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["pairs"][0]["paired"] is True
    assert {"macro_f1", "accuracy"} <= {one["metric"] for one in read["pairs"][0]["differences"]}


def test_report_takes_the_newest_run_of_the_charters_name_not_of_the_store(runs, capsys):
    assert run_command(["report", "--charter", str(runs.folder / "longer.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_id"] == runs.results["longer"].run_id
    assert (
        run_command(["report", "--store", str(runs.store), "--json"]) == 0
    )  # a store alone: whatever is newest
    newest = max(runs.store.glob("*/record.json"), key=lambda path: path.stat().st_mtime)
    assert json.loads(capsys.readouterr().out)["run_id"] == newest.parent.name
    other = runs.folder / "other.yaml"
    other.write_text(
        (runs.folder / "longer.yaml").read_text(encoding="utf-8").replace("longer", "unknown"), "utf-8"
    )
    assert run_command(["report", "--charter", str(other)]) == 2
    assert "judged runs of: plain, longer, elsewhere" in capsys.readouterr().err


def test_no_text_of_a_row_stands_in_a_comparison(comparison):
    told = render_comparison(comparison) + json.dumps(comparison.as_json())
    assert "example.org" not in told
    assert "lovely" not in told


def test_a_chinese_page_holds_no_english_sentence(comparison):
    pieces = shown(render_comparison(comparison, language="zh"))
    assert len(pieces) > 80
    assert [piece for piece in pieces if TWO_WORDS.search(piece)] == []


def test_runs_of_one_name_are_told_apart_by_the_end_of_their_ids(runs):
    again = charter.run(runs.folder / "plain.yaml", draft=True)
    found = charter.compare([runs.results["plain"].run_id, again.run_id], store=runs.store)
    assert [run.label for run in found.runs] == [
        f"plain {one[-4:]}" for one in (runs.results["plain"].run_id, again.run_id)
    ]
    assert found.conclusion(found.pairs[0]) == "not shown"
    assert found.changes() == ()


def test_taggers_are_paired_sentence_by_sentence(entity_run):
    first = entity_run.folder / "charter.yaml"
    second = entity_run.folder / "second.yaml"
    text = first.read_text(encoding="utf-8")
    second.write_text(text.replace("name: places", "name: second").replace("epochs: 1", "epochs: 3"), "utf-8")
    charter.run(second)
    found = charter.compare([first, second], store=entity_run.folder / "runs")
    pairing = found.pairs[0].pairing
    assert pairing.rows == 60
    names = {one.metric for one in pairing.differences}
    assert {"micro_f1", "macro_f1", "accuracy", "negative_log_likelihood"} <= names
    assert all(
        "McNemar" not in one.test for one in pairing.differences
    )  # a sentence is not right or wrong as a whole
    assert "micro F1" in render_comparison(found).replace("Micro", "micro")


@pytest.fixture(scope="module")
def pages(comparison, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    name = "ein_sehr_langer_name_ohne_jede_luecke_" * 2 + "v1"
    long = [
        dataclasses.replace(run, label=f"<b>{name}</b>{place}") for place, run in enumerate(comparison.runs)
    ]
    longer = dataclasses.replace(comparison, runs=tuple(long))
    (folder / "long.html").write_text(render_comparison(longer), encoding="utf-8")
    for language in ("en", "zh"):
        (folder / f"{language}.html").write_text(
            render_comparison(comparison, language=language), encoding="utf-8"
        )
    return folder


in_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")


@pytest.mark.page
@in_browser
@pytest.mark.parametrize("language", ["en", "zh", "long"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_asks_nothing_overflows_nowhere_and_is_accessible(browser, pages, language, scheme, width):  # noqa: F811
    from axe_playwright_python.sync_playwright import Axe

    file = pages / f"{language}.html"
    page = opened(browser, file, width=width, scheme=scheme)
    assert page.asked == [file.as_uri()]
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOW) == []
    page.context.close()
    page = opened(browser, file, width=width, scheme=scheme, bypass=True)
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []
    page.context.close()


@pytest.mark.page
@in_browser
def test_on_paper_nothing_is_cut(browser, pages):  # noqa: F811
    page = opened(browser, pages / "zh.html", width=680, scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    cut = "[...document.querySelectorAll('table')].filter(one => one.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.evaluate(cut) == 0
    page.context.close()
