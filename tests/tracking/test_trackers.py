"""Each tracker against its real offline store, read back; a tracker that fails never ends a run."""

import json
import struct
import time
from pathlib import Path

import pytest

from charter.errors import CharterFileError, MissingExtraError
from charter.pipeline import run
from charter.spec import check, parse_document
from charter.tracking import mlflow as ml
from charter.tracking import weights_and_biases as wb
from charter.tracking.tracker import Ending, TrackedRun, Tracker, Tracking

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  split: {{test: 0.3, validation: 0.2, calibration: 0.1}}
model: {{base: "{base}", max_length: 32}}
task: {{use: classification}}
training: {{epochs: 2, batch_size: 16, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}]
limits: [accuracy >= 0.1]
report: {{examples: masked}}
tracking: {tracking}
"""
HISTORY = [
    {"kind": "loss", "step": 1, "loss": 0.7, "learning_rate": 1e-3},
    {"kind": "evaluation", "step": 2, "epoch": 1.0, "train_loss": 0.6, "validation_loss": 0.5, "validation_score": 0.8,
     "score": "macro_f1"},
]  # fmt: skip


def tracked(folder: Path, config=None) -> TrackedRun:
    (folder / "run").mkdir(exist_ok=True)
    return TrackedRun(
        "20260101-000000-reviews-abcd", "reviews", folder / "run", folder, config or {"seed": 7}
    )


def read_wandb(file: Path):
    """The records of W&B's offline file: a LevelDB log of protobuf messages in blocks of 32 KiB after 7 bytes of header."""
    from wandb.proto import wandb_internal_pb2

    content, at, whole = file.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def written(file: Path):
    """All records of a run that ended: W&B's own process writes the last ones a moment later."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        records = list(read_wandb(file))
        if records and records[-1].WhichOneof("record_type") == "exit":
            return records
        time.sleep(0.05)
    raise AssertionError("the run's end is not written")


def history_of(records):
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in one.history.item}
        for one in records
        if one.WhichOneof("record_type") == "history"
    ]


def offline_file(folder: Path) -> Path:
    (found,) = folder.glob("**/run-*.wandb")
    return found


def test_wandb_keeps_settings_curves_scores_and_pages_offline(tmp_path):
    tracking = Tracking([wb.wandb(project="demo", tags=("a",))], pytest.fail)
    tracking.begin(tracked(tmp_path, {"training": {"learning_rate": 5e-5}}))
    tracking.catch_up(HISTORY)
    tracking.log({"search/validation_score": 0.7}, 1)
    tracking.end(
        Ending("released", {"performance/macro_f1": 0.75}, {"limit a": "kept"}, {"report.html": "<p>"})
    )
    file = offline_file(tmp_path / "run")
    records = written(file)
    first = next(one.run for one in records if one.WhichOneof("record_type") == "run")
    assert (first.project, first.display_name) == ("demo", tracked(tmp_path).id)
    points = history_of(records)
    assert (points[0]["train/loss"], points[0]["update"]) == (0.7, 1)
    assert (points[1]["validation/macro_f1"], points[1]["update"]) == (0.8, 2)
    assert (points[2]["search/validation_score"], points[2]["trial"]) == (0.7, 1)
    assert (file.parent / "files" / "report.html").read_text() == "<p>"
    assert b"performance/macro_f1" in file.read_bytes()


def client(folder: Path):
    with ml._quiet():
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def runs_of(folder: Path, experiment: str):
    with ml._quiet():
        store = client(folder)
        found = store.get_experiment_by_name(experiment)
        return store, store.search_runs([found.experiment_id])


def test_mlflow_keeps_settings_curves_scores_and_pages_in_a_database_beside_the_charter(tmp_path):
    for _ in range(2):  # the second finds the experiment
        tracking = Tracking([ml.mlflow(experiment="reviews")], pytest.fail)
        tracking.begin(tracked(tmp_path, {"training": {"learning_rate": 5e-5}, "limits": ["a >= 1"]}))
        tracking.catch_up(HISTORY)
        tracking.end(
            Ending(
                "refused",
                {"performance/f1[city=北京]": 0.75},
                {"limit a >= 1": "broken"},
                {"report.html": "<p>"},
            )
        )
    store, (one, _) = runs_of(tmp_path, "reviews")
    assert one.info.status == "FINISHED"
    assert one.data.params["training.learning_rate"] == "5e-05"
    assert one.data.metrics["performance/f1 city:北京"] == 0.75
    assert {"status": "refused", "limit a ge 1": "broken"}.items() <= one.data.tags.items()
    with ml._quiet():
        curve = store.get_metric_history(one.info.run_id, "validation/macro_f1")
        pages = [file.path for file in store.list_artifacts(one.info.run_id)]
    assert [(point.step, point.value) for point in curve] == [(2, 0.8)]
    assert pages == ["report.html"]
    assert (tmp_path / "mlartifacts").is_dir()


def test_a_run_is_told_whole_to_both_whether_it_was_trained_now_or_before_and_no_row_leaves(
    tiny_bert, reviews_csv
):
    folder = reviews_csv.parent
    path = folder / "charter.yaml"
    path.write_text(
        CHARTER.format(base=tiny_bert, tracking="[{use: wandb}, {use: mlflow}]"), encoding="utf-8"
    )
    results = [run(path) for _ in range(2)]
    assert any("北京" in line for line in reviews_csv.read_text(encoding="utf-8").splitlines())
    store, told = runs_of(folder, "reviews")
    assert {one.info.run_name for one in told} == {one.run_id for one in results}
    for result, one in zip(results, sorted(told, key=lambda one: one.info.start_time), strict=True):
        wanted = [
            (entry["step"], entry["validation_score"])
            for entry in result.record.history
            if "validation_score" in entry
        ]
        with ml._quiet():
            curve = store.get_metric_history(one.info.run_id, "validation/macro_f1")
        assert [(point.step, point.value) for point in curve] == wanted
        points = history_of(written(offline_file(result.folder)))
        assert [
            (point["update"], point["validation/macro_f1"])
            for point in points
            if "validation/macro_f1" in point
        ] == wanted
        assert one.data.tags["limit accuracy ge 0.1"] == "kept"
    texts = [line.split(",")[0].encode() for line in reviews_csv.read_text(encoding="utf-8").splitlines()[1:]]
    sent = [folder / "mlflow.db", *(folder / "mlartifacts").rglob("*"), *folder.glob("runs/*/wandb/**/*")]
    for file in sent:
        content = file.read_bytes() if file.is_file() else b""
        assert not any(text in content for text in texts), file
    assert any(
        text in results[0].report.read_bytes() for text in texts
    )  # the run's own report shows examples


class Failing(Tracker):
    """A tracker whose server goes away."""

    name = "failing"

    def __init__(self, at: str) -> None:
        self.at, self.told = at, []

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if what == self.at:
            raise ConnectionError("the server went away\nand more")

    def begin(self, _run):
        self._tell("begin")

    def log(self, _values, _step):
        self._tell("log")

    def end(self, _ending):
        self._tell("end")


@pytest.mark.parametrize("at", ["begin", "log", "end"])
def test_a_tracker_that_fails_is_noted_once_and_told_nothing_more(tmp_path, at):
    notes, failing, other = [], Failing(at), Failing("never")
    tracking = Tracking([failing, other], notes.append)
    tracking.begin(tracked(tmp_path))
    tracking.catch_up(HISTORY)
    tracking.end(Ending("released"))
    assert len(notes) == 1
    assert "tracker failing failed" in notes[0]
    assert "ConnectionError: the server went away);" in notes[0]
    assert failing.told[-1] == at
    assert other.told == ["begin", "log", "log", "end"]


def test_a_run_whose_tracking_server_does_not_answer_ends_well_with_one_note(tiny_bert, reviews_csv):
    path = reviews_csv.parent / "charter.yaml"
    tracking = '[{use: mlflow, uri: "http://127.0.0.1:9"}]'
    path.write_text(CHARTER.format(base=tiny_bert, tracking=tracking), encoding="utf-8")
    events = []
    assert run(path, on_event=events.append).released
    notes = [one.text for one in events if one.stage == "tracking"]
    assert len(notes) == 1
    assert notes[0].startswith("tracker mlflow failed")


@pytest.mark.parametrize(
    ("tracking", "path", "words"),
    [
        ("[{use: wandbb}]", "tracking[0].use", "Did you mean 'wandb'?"),
        ("[{use: wandb, mode: on}]", "tracking[0].mode", "accepted: offline, online"),
        ("[{use: wandb}, {use: wandb}]", "tracking[1]", "stands twice"),
        ("[{use: mlflow, uri: mlruns}]", "tracking[0].uri", "accepted: sqlite:///FILE"),
        ('[{use: mlflow, uri: "http://me:secret@host"}]', "tracking[0].uri", "MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_what_a_tracker_can_not_be_told_is_said_with_its_line(tiny_bert, reviews_csv, tracking, path, words):
    text = CHARTER.format(base=tiny_bert, tracking=tracking)
    with pytest.raises(CharterFileError) as caught:
        check(parse_document(text, reviews_csv.parent / "charter.yaml"))
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (13, path)
    assert words in problem.message
    assert "secret" not in problem.message


@pytest.mark.parametrize(("module", "name"), [(wb, "wandb"), (ml, "mlflow")])
def test_a_tracker_without_its_library_ends_a_run_before_any_work(
    tiny_bert, reviews_csv, monkeypatch, module, name
):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    path = reviews_csv.parent / "charter.yaml"
    path.write_text(CHARTER.format(base=tiny_bert, tracking=f"[{{use: {name}}}]"), encoding="utf-8")
    with pytest.raises(MissingExtraError, match=rf'pip install "charter\[{name}\]"'):
        run(path)
    assert not (reviews_csv.parent / "runs").exists()
