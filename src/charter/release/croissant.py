"""Croissant metadata (MLCommons) of a run's prepared data: files, fields, splits, licence, RAI; never a value of a row.

The JSON-LD is written by hand, after the specification 1.0 (docs.mlcommons.org/croissant); the tests let MLCommons' own library
validate it and read the rows by it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charter.data.columns import PLACE, ROW, SPLIT, SPLITS, TARGET, UNIT
from charter.errors import StoreError
from charter.release.datasheet import Sheet, datasheet
from charter.release.record import Record
from charter.release.selection import select

CONFORMS_TO = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
PARQUET = "application/x-parquet"
ROWS, FILES = "rows", "rows-files"
SPLIT_KINDS = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}
OWN: Mapping[str, str] = {
    ROW: "The row's number in the whole source, from 1.",
    PLACE: "File and record number in the source.",
    SPLIT: "The split: train, validation, calibration or test.",
    UNIT: "Rows of one unit are of one person or alike; they stay on one side of the split.",
}
RAI: Mapping[str, tuple[str, ...]] = {
    "rai:dataCollection": ("collection.acquisition", "collection.mechanisms", "collection.sampling_strategy"),
    "rai:dataCollectionTimeframe": ("collection.timeframe",),
    "rai:dataCollectionRawData": ("preprocessing.raw",),
    "rai:dataPreprocessingProtocol": ("preprocessing.done",),
    "rai:dataAnnotationProtocol": ("composition.labels",),
    "rai:dataUseCases": ("uses.used_for", "uses.other_uses", "motivation.purpose"),
    "rai:dataLimitations": ("uses.not_for", "composition.errors", "composition.missing"),
    "rai:dataBiases": ("composition.subpopulations", "uses.risks", "composition.sampling"),
    "rai:dataSocialImpact": ("collection.impact", "collection.consent", "collection.ethics"),
    "rai:personalSensitiveInformation": (
        "composition.identifiable",
        "composition.sensitive",
        "composition.confidential",
    ),
    "rai:dataReleaseMaintenancePlan": (
        "maintenance.maintainer",
        "maintenance.updates",
        "maintenance.retention",
    ),
}
"""Property of the RAI vocabulary 1.0 -> the datasheet's questions that it is filled from."""
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(record: Record, *, beside: str = "") -> dict[str, Any]:
    """The metadata as JSON-LD. beside: the folder of the row files as seen from the metadata's own file, `../artefacts/KEY/files/`.

    Raises:
        StoreError: the record is of a run that did not yet keep what its prepared data is made of.
    """
    prepared = record.provenance.get("data", {}).get("prepared")
    if prepared is None:
        raise StoreError(
            f"run {record.run_id} was judged by an older Charter, which kept no columns; run the charter again (its stages are reused)"
        )
    charter, sheet = record.charter, datasheet(record, language="en")
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": re.sub(r"[^\w\-.]", "-", charter.data_id),
        "description": _description(record),
        "version": "1.0.0",
        "datePublished": record.created[:10],
        "identifier": f"sha256:{record.provenance['data']['prepared_digest']}",
        "isLiveDataset": False,
        **_said("license", charter.data.licence),
        **_said("creator", _person(_answer(sheet, "motivation.creators"))),
        **dict(_rai(sheet)),
        "distribution": list(_distribution(prepared["files"], beside)),
        "recordSet": [_split_set(record), _row_set(record, prepared)],
    }


def files_beside(record: Record) -> str:
    """Where the row files lie in the store, as seen from the run's folder."""
    keys = [stage["key"] for stage in record.stages if str(stage["name"]).partition(" ")[0] == "prepare"]
    return f"../artefacts/{keys[0]}/files/" if keys else ""


def _said(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _person(name: str) -> dict[str, str] | None:
    return {"@type": "sc:Organization", "name": name} if name else None


def _answer(sheet: Sheet, question: str) -> str:
    return next(one.answer for one in sheet.entries if f"{one.section}.{one.question}" == question)


def _description(record: Record) -> str:
    used = next((one.value or 0 for one in select(record.findings, "data", "rows")), 0)
    return (
        f"The data of '{record.charter.data_id}' as Charter prepared it in run {record.run_id} for the task "
        f"{record.charter.task.use}: {used:.0f} rows, repaired, filtered and split as the charter says."
    )


def _rai(sheet: Sheet) -> Iterator[tuple[str, str]]:
    """What the datasheet knows or a person answered; a property of which nothing is known is left out."""
    entries = {f"{one.section}.{one.question}": one for one in sheet.entries}
    for name, questions in RAI.items():
        said: list[str] = []
        for question in questions:
            entry = entries[question]
            said += [known.text for known in entry.known] + ([entry.answer] if entry.answer else [])
        if said:
            yield name, " ".join(dict.fromkeys(said))


def _distribution(files: Mapping[str, Mapping[str, Any]], beside: str) -> Iterator[dict[str, Any]]:
    for name, facts in files.items():
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "description": "Prepared rows; the file stays in the store of the run and is in no released bundle.",
            "contentUrl": f"{beside}{name}",
            "contentSize": f"{facts['bytes']} B",
            "encodingFormat": PARQUET,
            "sha256": facts["sha256"],
        }
    if len(files) > 1:
        yield {
            "@type": "cr:FileSet",
            "@id": FILES,
            "name": FILES,
            "description": "All files of rows, in order.",
            "encodingFormat": PARQUET,
            "includes": "rows*.parquet",
        }


def _split_set(record: Record) -> dict[str, Any]:
    """The splits and how many rows each has. Calibration is a split of Charter's own: Croissant knows no word for it."""
    sizes = {
        one.slice["split"]: one.value or 0 for one in select(record.findings, "data", "rows", ("split",))
    }
    data = [
        {
            "splits/name": name,
            "splits/url": SPLIT_KINDS.get(name, "cr:Split"),
            "splits/rows": int(sizes[name]),
        }
        for name in SPLITS
        if sizes.get(name)
    ]
    fields = [
        ("name", "sc:Text", "The name of the split."),
        ("url", "sc:URL", "What kind of split it is."),
        ("rows", "sc:Integer", "How many rows it has."),
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits of the rows.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"splits/{name}",
                "name": name,
                "dataType": kind,
                "description": about,
            }
            for name, kind, about in fields
        ],
        "data": data,
    }


def _row_set(record: Record, prepared: Mapping[str, Any]) -> dict[str, Any]:
    names = list(prepared["files"])
    source = {"fileSet": {"@id": FILES}} if len(names) > 1 else {"fileObject": {"@id": names[0]}}
    return {
        "@type": "cr:RecordSet",
        "@id": ROWS,
        "name": ROWS,
        "description": "One record for each row that is used.",
        "key": {"@id": f"{ROWS}/{ROW}"},
        "field": [_field(record, column, source) for column in prepared["columns"]],
    }


def _field(record: Record, column: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    name = column["name"]
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{ROWS}/{name}",
        "name": name,
        "description": _about(record, name),
        "source": {**source, "extract": {"column": name}},
    }
    if column["columns"]:
        field["subField"] = list(_inside(column, source))
    else:
        field["dataType"] = column["type"]
    if column["repeated"]:
        field["repeated"] = True
    if name == SPLIT:
        field["references"] = {"field": {"@id": "splits/name"}}
    return field


def _inside(column: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for inner in column["columns"]:
        yield {
            "@type": "cr:Field",
            "@id": f"{ROWS}/{column['name']}/{inner['name']}",
            "name": inner["name"],
            "dataType": inner["type"],
            "source": {
                **source,
                "extract": {"column": column["name"]},
                "transform": {
                    "jsonPath": f"$[*].{inner['name']}" if column["repeated"] else f"$.{inner['name']}"
                },
            },
        }


def _about(record: Record, name: str) -> str:
    data = record.charter.data
    roles: Sequence[tuple[bool, str]] = (
        (name in data.inputs, f"An input of the model: {data.inputs.get(name, '')}."),
        (name in (*data.targets, TARGET), "The target: what is predicted."),
        (name in data.groups, "A group column: audits read it, the model never does."),
        (name == data.split.time, "Orders the rows in time for the split."),
    )
    return OWN.get(name) or next(
        (about for holds, about in roles if holds), "A column that the charter names."
    )
