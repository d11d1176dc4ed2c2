"""Which charters were judged before on the same data: each once, with how its run ended."""

from charter.release.judge import judge
from charter.release.report.sentences import translated
from charter.release.report.wording import interval
from charter.runs.findings import Finding
from charter.runs.run import begin_run, charters_judged, note_judged
from charter.runs.store import Store
from charter.spec.model import Charter


def judged(store, charter, test, data, status="refused"):
    with begin_run(store, "a", charter) as run:
        note_judged(store, charter_digest=charter, test_digest=test, data_id=data, run_id=run.id)
        run.finish(status)


def test_other_charters_are_listed_once_with_their_outcome(tmp_path):
    store = Store(tmp_path)
    judged(store, "one", "t1", "d", "released")
    judged(store, "two", "t2", "d")
    judged(store, "two", "t2", "d")
    judged(store, "me", "t1", "d")
    judged(store, "elsewhere", "t9", "other")
    with (tmp_path / "judged.jsonl").open("a") as journal:
        journal.write("torn {\n")
    note_judged(store, charter_digest="gone", test_digest="t1", data_id="x", run_id="no-such-run")
    found = charters_judged(store, charter_digest="me", test_digest="t1", data_id="d")
    told = {one["charter"]: (one["status"], one["same_split"]) for one in found}
    assert told == {"one": ("released", True), "two": ("refused", False), "gone": ("", True)}
    assert len(found) == 3


def test_evidence_that_was_too_little_is_not_called_unmeasured():
    model = {"base": "sample:minilm"}
    data = {"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"}
    text = {"name": "a", "data": data, "model": model, "task": {"use": "classification"}}
    charter = Charter.model_validate(text)
    because = "insufficient evidence: 12 rows, at least 30 are needed"
    few = Finding("performance", "macro_f1", None, because=because, n=12, of="m", split="test")
    said = {
        bool(findings): next(
            one.because for one in judge(charter, findings) if one.limit.startswith("evidence")
        )
        for findings in ([few], [])
    }
    assert said[True].endswith("its audit found too little evidence on these rows")
    assert said[False].endswith("no audit measured it")
    assert all("证据" in translated(one) for one in said.values())


def test_what_was_not_measured_is_said_of_the_rows_it_would_have_been_measured_on():
    data = {"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"}
    text = {"name": "a", "data": data, "model": {"base": "sample:minilm"}, "task": {"use": "classification"}}
    charter = Charter.model_validate({**text, "limits": ["k_anonymity >= 5", "accuracy >= 0.5"]})
    said = {one.limit: one.because for one in judge(charter, [])}
    assert said["k_anonymity >= 5"].startswith("no audit measured k_anonymity of the training rows; ")
    assert said["accuracy >= 0.5"].startswith("no audit measured accuracy on the test split; ")
    assert all("没有审计" in translated(one) for one in said.values())


def test_a_count_is_compared_by_its_value_and_an_estimate_by_the_end_of_its_interval():
    data = {"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"}
    text = {"name": "a", "data": data, "model": {"base": "sample:minilm"}, "task": {"use": "classification"}}

    def because(limit, **ends):
        counted = Finding("reidentification", "k_anonymity", 1.0, n=59, **ends)
        (verdict,) = [
            one
            for one in judge(Charter.model_validate({**text, "limits": [limit]}), [counted])
            if one.limit == limit
        ]
        return verdict.because

    assert because("k_anonymity >= 2", low=1.0, high=1.0) == "its value is 1"
    assert because("k_anonymity <= 2", low=1.0, high=1.0) == "its value is 1"
    assert because("k_anonymity >= 2", low=1.0, high=1.0, confidence=0.95).startswith(
        "the low end of its 95%"
    )
    assert because("k_anonymity >= 2", low=0.0, high=1.0).startswith("the low end of its interval")
    assert (
        because("k_anonymity >= 2")
        == "it was measured without an interval; say judge: point to judge its value"
    )
    assert interval(Finding("reidentification", "k_anonymity", 1.0, low=1.0, high=1.0)) == ""
