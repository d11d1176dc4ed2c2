"""The model card: read by the hub's own library, honest about what is not known, whole whatever the names are."""

import dataclasses

from huggingface_hub import ModelCard

from charter.release.card import card
from charter.spec.use import Use

PREPARATION = {
    "inputs": {"text": "text"},
    "prepare": [{"use": "repair_text"}, {"use": "mask_pii"}],
    "max_length": 32,
}


def loaded(text, tmp_path):
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    return ModelCard.load(tmp_path / "README.md")


def test_the_hubs_library_reads_the_bundles_card(silent_run):
    read = ModelCard.load(silent_run.result.bundle / "README.md")
    assert read.data.license == "unknown"
    assert read.data.pipeline_tag == "text-classification"
    values = {one.metric_type: one.metric_value for one in read.data.eval_results}
    measured = {
        one.metric: one.value
        for one in silent_run.result.record.findings
        if one.area == "performance" and not one.slice
    }
    assert values["macro_f1"] == round(measured["macro_f1"], 4)


def test_the_card_says_what_plain_transformers_skips_and_what_is_not_known(silent_run):
    text = card(silent_run.result.record, PREPARATION)
    for said in (
        "REFUSED",
        "skips `repair_text`, `mask_pii`",
        "not stated by its charter",
        "credit decisions",
        "CC-BY-4.0",
        "| Paris |",
        "too few",
    ):
        assert said in text


def test_pipes_and_line_breaks_in_names_break_no_table(silent_run):
    record = silent_run.result.record
    findings = tuple(
        dataclasses.replace(one, slice={"city": "a|b\nc"}) if one.slice == {"city": "Paris"} else one
        for one in record.findings
    )
    text = card(dataclasses.replace(record, findings=findings), PREPARATION)
    assert "| a\\|b c |" in text


def test_a_plug_ins_task_has_a_card_without_a_pipeline(silent_run, tmp_path):
    record = silent_run.result.record
    charter = record.charter.model_copy(update={"task": Use(use="ordinal_by_us")})
    read = loaded(card(dataclasses.replace(record, charter=charter), PREPARATION), tmp_path)
    assert read.data.pipeline_tag is None
    assert read.data.eval_results[0].task_type == "ordinal_by_us"
    assert "plug-in" in read.text


def test_known_samples_name_their_language_and_base(silent_run, tmp_path):
    record = silent_run.result.record
    data = record.charter.data.model_copy(update={"source": "sample:tweets"})
    model = record.charter.model.model_copy(update={"base": "sample:minilm"})
    charter = record.charter.model_copy(update={"data": data, "model": model})
    read = loaded(card(dataclasses.replace(record, charter=charter), PREPARATION), tmp_path)
    assert read.data.language == "en"
    assert read.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
