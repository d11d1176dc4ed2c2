"""Whole runs on a tiny real model: from a charter file to a bundle, interrupted, repeated, refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charter.errors import DataError
from charter.pipeline import run
from charter.release.verification import verify
from charter.runs.run import list_runs
from charter.runs.store import Store

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  groups: [city]
  split: {{test: 0.3, validation: 0.1, calibration: 0.1}}
model: {{base: "{base}", max_length: 32}}
task: {{use: classification}}
training: {{epochs: {epochs}, batch_size: 16, learning_rate: 5.0e-3}}
audits:
  - {{use: performance, resamples: 200}}
  - {{use: calibration, resamples: 200}}
limits:
  - {limit}
"""


def write_charter(folder: Path, base: Path, limit: str = "accuracy >= 0.55", epochs: int = 4) -> Path:
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(base=base, limit=limit, epochs=epochs), encoding="utf-8")
    return path


def test_a_model_that_keeps_its_limits_is_released_with_its_proof(tiny_bert, reviews_csv):
    result = run(write_charter(reviews_csv.parent, tiny_bert))
    assert result.record.status == "released"
    assert result.bundle is not None
    assert verify(result.bundle, None).ok
    assert result.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    measured = {finding.metric for finding in result.record.findings}
    assert {"accuracy", "macro_f1", "expected_calibration_error", "headline_gain"} <= measured


def test_every_row_is_accounted_for(tiny_bert, reviews_csv):
    with reviews_csv.open("a", encoding="utf-8") as stream:
        stream.write(",good,Oslo\nthe room was warm,,Oslo\n")
    result = run(write_charter(reviews_csv.parent, tiny_bert, epochs=1))
    counts = {}
    for finding in result.record.findings:
        if finding.area == "data" and finding.metric in (
            "rows_read",
            "rows",
            "rows_dropped",
            "rows_rejected",
        ):
            if finding.metric == "rows" and finding.slice:
                continue
            counts[finding.metric] = counts.get(finding.metric, 0) + (finding.value or 0)
    assert counts["rows_read"] == 402
    assert counts["rows_rejected"] == 2
    assert counts["rows"] + counts.get("rows_dropped", 0) + counts["rows_rejected"] == 402


@pytest.mark.parametrize(
    "limit", ["accuracy >= 0.999", "accuracy[city=Rome] >= 0.1"], ids=["broken", "unmeasured"]
)
def test_a_limit_without_proof_stops_the_release(tiny_bert, reviews_csv, limit):
    result = run(write_charter(reviews_csv.parent, tiny_bert, limit))
    assert result.record.status == "refused"
    assert result.bundle is None
    assert not (reviews_csv.parent / "release").exists()
    assert result.report.exists()


def test_a_draft_is_marked_as_refused_everywhere(tiny_bert, reviews_csv):
    result = run(write_charter(reviews_csv.parent, tiny_bert, "accuracy >= 0.999"), draft=True)
    assert result.bundle is not None
    assert result.bundle.name == "reviews-REFUSED"
    assert "refused" in (result.bundle / "README.md").read_text(encoding="utf-8").lower()
    assert json.loads((result.bundle / "charter" / "manifest.json").read_text())["status"] == "refused"


def test_second_run_reuses_every_stage_and_says_so(tiny_bert, reviews_csv):
    charter = write_charter(reviews_csv.parent, tiny_bert)
    first = run(charter)
    events = []
    second = run(charter, on_event=events.append)
    assert {event.kind for event in events} == {"reused"}
    assert first.record.findings == second.record.findings
    assert [v.outcome for v in first.record.verdicts] == [v.outcome for v in second.record.verdicts]


def test_judging_again_with_an_edited_charter_is_counted(tiny_bert, reviews_csv):
    run(write_charter(reviews_csv.parent, tiny_bert, "accuracy >= 0.999"))
    again = run(write_charter(reviews_csv.parent, tiny_bert, "accuracy >= 0.998"))
    assert again.record.judged_before["this_split"] == 1


def test_same_charter_in_another_store_gives_the_same_model(tiny_bert, reviews_csv):
    charter = write_charter(reviews_csv.parent, tiny_bert, epochs=1)
    digests = []
    for store in ("a", "b"):
        result = run(charter, store=reviews_csv.parent / store)
        digests.append(
            [stage["digest"] for stage in result.record.stages if stage["name"].startswith("export")]
        )
    assert digests[0] == digests[1]


RUN = "import sys; from pathlib import Path; from charter.pipeline import run; run(Path(sys.argv[1]))"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="kill"),
        pytest.param(signal.SIGINT, id="ctrl-c", marks=pytest.mark.slow),
    ],
)
def test_stopped_runs_go_on_to_the_same_model(tiny_bert, reviews_csv, how, tmp_path):
    charter = write_charter(reviews_csv.parent, tiny_bert, epochs=30)
    rng = random.Random(2)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(charter)], stderr=subprocess.DEVNULL, env=environment
        )
        deadline = time.monotonic() + 60
        work = reviews_csv.parent / "runs" / "work"
        while time.monotonic() < deadline and not list(work.glob("*")):
            time.sleep(0.05)
        time.sleep(rng.uniform(0.2, 1.5))
        process.send_signal(how)
        process.wait()
    subprocess.run([sys.executable, "-c", RUN, str(charter)], check=True, env=environment)
    whole = tmp_path / "whole"
    code = RUN.replace("run(Path(sys.argv[1]))", "run(Path(sys.argv[1]), store=Path(sys.argv[2]))")
    subprocess.run([sys.executable, "-c", code, str(charter), str(whole)], check=True, env=environment)

    def exported(store):
        record = list_runs(Store(store))[-1].record
        return [stage["digest"] for stage in record["stages"] if stage["name"].startswith("export")]

    assert exported(reviews_csv.parent / "runs") == exported(whole)


def test_two_runs_at_once_on_one_store_both_end_well(tiny_bert, reviews_csv):
    charter = write_charter(reviews_csv.parent, tiny_bert, epochs=3)
    both = [subprocess.Popen([sys.executable, "-c", RUN, str(charter)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    runs = list_runs(Store(reviews_csv.parent / "runs"))
    assert [past.status for past in runs] == ["released", "released"]
    train = [stage for past in runs for stage in past.record["stages"] if stage["name"] == "train"]
    assert sorted(stage["reused"] for stage in train) == [False, True]


def test_masked_values_stand_in_no_file_of_the_store_or_the_bundle(tiny_bert, reviews_csv):
    secret = "rosa.luxemburg@example.org"
    text = reviews_csv.read_text(encoding="utf-8").replace("the ", f"the {secret} ", 40)
    reviews_csv.write_text(text, encoding="utf-8")
    path = write_charter(reviews_csv.parent, tiny_bert, epochs=1)
    path.write_text(
        path.read_text().replace("  target: label", "  target: label\n  prepare: [{use: mask_pii}]")
    )
    run(path, draft=True)
    found = [
        file
        for place in ("runs", "release")
        for file in (reviews_csv.parent / place).rglob("*")
        if file.is_file() and secret.encode() in file.read_bytes()
    ]
    assert found == []


def test_personal_data_in_a_group_column_is_refused_in_words_without_its_values(tiny_bert, reviews_csv):
    text = reviews_csv.read_text(encoding="utf-8").replace("Paris", "rosa@example.org")
    reviews_csv.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="'city': its values hold personal data") as caught:
        path = write_charter(reviews_csv.parent, tiny_bert)
        path.write_text(
            path.read_text().replace("  target: label", "  target: label\n  prepare: [{use: mask_pii}]")
        )
        run(path)
    assert "rosa" not in str(caught.value)


def test_provenance_names_the_machine_that_trained_not_the_one_that_judged(
    tiny_bert, reviews_csv, monkeypatch
):
    charter = write_charter(reviews_csv.parent, tiny_bert, epochs=1)
    first = run(charter).record.provenance
    monkeypatch.setattr("charter.runs.machine.os.cpu_count", lambda: 999)
    second = run(charter).record.provenance
    assert second["hardware"] == first["hardware"]
    assert second["judged_on"]["cores"] == 999


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from charter.cli import run_command
sys.exit(run_command(["run", sys.argv[2]]))
"""


@pytest.mark.parametrize(
    "most_bytes", [200, 3_000, 9_000, 60_000], ids=["json", "parquet", "config", "weights"]
)
def test_a_machine_that_refuses_bytes_ends_a_run_in_a_sentence_and_the_next_one_goes_on(
    tiny_bert, reviews_csv, most_bytes
):
    charter = write_charter(reviews_csv.parent, tiny_bert, "accuracy >= 0", epochs=1)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    refused = subprocess.run(
        [sys.executable, "-c", LIMITED, str(most_bytes), str(charter)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert refused.returncode == 2, refused.stderr
    assert "File too large" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (reviews_csv.parent / "release" / "reviews").exists()
    assert run(charter).record.status == "released"
