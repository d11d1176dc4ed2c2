"""Croissant metadata: MLCommons' own library finds no error in them and reads the rows by them; they hold no value of a row."""

import dataclasses
import json
import logging

import polars as pl
import pytest

from charter.cli import run_command
from charter.errors import StoreError
from charter.pipeline.describing import prepared_facts
from charter.release.croissant import croissant

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def opened(path):
    mlcroissant = pytest.importorskip("mlcroissant")
    logging.getLogger("absl").setLevel(logging.ERROR)
    return mlcroissant.Dataset(jsonld=str(path))


def rows_of(result):
    stage = next(one for one in result.record.stages if one["name"] == "prepare")
    return pl.read_parquet(result.folder.parent / "artefacts" / stage["key"] / "files" / "rows.parquet")


@pytest.mark.parametrize("name", ["silent_run", "entity_run"])
def test_mlcroissant_finds_no_error_and_reads_every_row(name, request):
    result = request.getfixturevalue(name).result
    data = opened(result.folder / "croissant.json")
    issues = data.metadata.ctx.issues
    assert issues.errors == set()
    assert all("citeAs" in one or "license" in one for one in issues.warnings)  # what nobody told
    rows, read = rows_of(result), list(data.records("rows"))
    assert [one["rows/_row"] for one in read] == rows["_row"].to_list()
    assert len(read[0]) == rows.width


def test_words_and_tags_are_read_as_lists(entity_run):
    first = next(iter(opened(entity_run.result.folder / "croissant.json").records("rows")))
    rows = rows_of(entity_run.result)
    assert [one.decode() for one in first["rows/tokens"]] == rows["tokens"][0].to_list()


def test_the_splits_and_their_sizes_are_those_of_the_rows(silent_run):
    told = list(opened(silent_run.result.folder / "croissant.json").records("splits"))
    sizes = dict(rows_of(silent_run.result)["_split"].value_counts().iter_rows())
    assert {one["splits/name"]: one["splits/rows"] for one in told} == sizes


def test_a_file_that_was_changed_is_refused(silent_run, tmp_path):
    value = croissant(silent_run.result.record)
    rows_of(silent_run.result).head(3).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "croissant.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(Exception, match=r"Download\(rows.parquet\)"):
        list(opened(tmp_path / "croissant.json").records("rows"))


def test_no_value_of_a_row_stands_in_it(silent_run):
    told = json.dumps(croissant(silent_run.result.record), ensure_ascii=False)
    assert "example.org" not in told
    assert "lovely" not in told
    assert "CC-BY-4.0" in told
    assert "rai:personalSensitiveInformation" in told


def test_nested_columns_and_several_files_are_described(silent_run, tmp_path):
    frame = pl.DataFrame({"_row": [1, 2], "spans": [[{"label": "X", "start": 0}], []]})
    names = ("rows-0.parquet", "rows-1.parquet")
    for name in names:
        frame.write_parquet(tmp_path / name)

    @dataclasses.dataclass
    class Made:
        path = tmp_path
        record = {"files": dict.fromkeys((*names, "counts.json"), "0" * 64)}  # noqa: RUF012

    record = silent_run.result.record
    data = {**record.provenance["data"], "prepared": prepared_facts(Made())}
    value = croissant(dataclasses.replace(record, provenance={**record.provenance, "data": data}))
    (tmp_path / "croissant.json").write_text(json.dumps(value), encoding="utf-8")
    assert opened(tmp_path / "croissant.json").metadata.ctx.issues.errors == set()
    spans = value["recordSet"][1]["field"][1]
    assert spans["repeated"] is True
    assert [one["dataType"] for one in spans["subField"]] == ["sc:Text", "cr:Int64"]


def test_the_bundle_holds_it_and_the_command_prints_it(silent_run, capsys):
    kept = json.loads((silent_run.result.bundle / "charter" / "croissant.json").read_text(encoding="utf-8"))
    assert kept == croissant(silent_run.result.record)
    assert run_command(["report", "--store", str(silent_run.folder / "runs"), "--croissant"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["distribution"][0]["contentUrl"].startswith("../artefacts/")
    assert printed["recordSet"] == kept["recordSet"]


def test_a_record_of_an_older_charter_is_refused_with_what_to_do(silent_run):
    record = silent_run.result.record
    data = {name: one for name, one in record.provenance["data"].items() if name != "prepared"}
    with pytest.raises(StoreError, match="run the charter again"):
        croissant(dataclasses.replace(record, provenance={**record.provenance, "data": data}))
