"""Audit, judge, release: from a model's answers to a verdict and, when every limit is kept, a bundle."""

import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from charter import plugins
from charter.audits.case import Case
from charter.audits.siblings import Siblings
from charter.pipeline.answering import HeldOut
from charter.pipeline.describing import prepared_facts
from charter.pipeline.exporting import Exported
from charter.pipeline.learning import Trained
from charter.pipeline.planning import charter_unit, trials_of
from charter.pipeline.preparing import PreparedData, distributions, resolved, row_wise_uses
from charter.pipeline.spending import ledger_told
from charter.runs.digest import value_digest
from charter.runs.files import read_json
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.machine import machine
from charter.runs.run import Run, without_time
from charter.runs.store import Stage
from charter.spec.metrics import CLAIMS
from charter.spec.model import Charter
from charter.tasks.baselines import Baseline

AUDIT_VERSION = 9
AUDIT_LIBRARIES = ("charter", "numpy", "scikit-learn", "scipy")
RECORDED = (
    "charter",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "polars",
    "pyarrow",
    "numpy",
    "scikit-learn",
    "safetensors",
)


def audit(
    run: Run,
    charter: Charter,
    data: PreparedData,
    trained: Trained,
    exported: Exported,
    held_out: HeldOut,
    beside: Sequence[Baseline] = (),
    siblings: Siblings | None = None,
) -> list[Finding]:
    """Every audit that the charter names, on one exported model; each is an artefact of its own.

    beside: baselines that were made before, on the test rows. siblings: what audits of the privacy claim may have made.
    """
    case = Case(
        of=exported.digest,
        task=exported.task,
        columns=data.columns,
        train=data.part("train"),
        answers=held_out.answers,
        temperature=exported.temperature,
        seed=charter.training.seed,
        beside=beside,
        reading=exported.task.reading(charter.model.max_length),
        with_baselines=charter.privacy is None,
        siblings=siblings,
    )
    found: list[Finding] = []
    for use, options in zip(charter.audits, resolved(charter.audits, "audit"), strict=True):
        stage = Stage(
            f"audit {use.use}",
            AUDIT_VERSION,
            options={
                **options,
                "roles": data.columns.as_json(),
                **_claimed(charter, use.use),
                **({} if case.with_baselines else {"baselines": False}),
            },
            inputs={
                "answers": held_out.digest,
                "export": exported.artifact.digest,
                "rows": data.artifact.digest,
                "task": trained.artifact.digest,
                "base": trained.base.digest,
            },
            libraries=(*AUDIT_LIBRARIES, *distributions((use,), "audit")),
            seed=charter.training.seed,
        )
        measure = plugins.make("audit", use.use, use.options)

        def make(files: Path, work: Path, measure: Any = measure) -> None:
            del work
            write_findings(files / "findings.jsonl", measure(case))

        found += read_findings(run.step(stage, make).path / "findings.jsonl")
    return found


def _claimed(charter: Charter, audit: str) -> dict[str, Any]:
    """What an audit of the privacy claim depends on besides the model."""
    if audit not in CLAIMS or charter.privacy is None:
        return {}
    return {"claim": {"epsilon": charter.privacy.epsilon, "delta": charter.privacy.delta}}


def provenance(
    run: Run,
    charter: Charter,
    data: PreparedData,
    trained: Trained,
    exported: Sequence[Exported],
    pretraining: Mapping[str, Any],
    ancestors: Sequence[Mapping[str, Any]] = (),
    *,
    answers: Mapping[str, str] = MappingProxyType({}),
    left: Mapping[str, Any] = MappingProxyType({}),
    ledger: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Where a released model comes from: versions, seeds, digests, time, and the hardware that trained it.

    pretraining: what its base was made from, where it was not as it was found. ancestors: the bundles that it descends
    from, the nearest first. answers: the digest of what each form answered. left: what goes into the bundle for later models.
    ledger: the head of the data's privacy ledger (`charter.pipeline.spending`).

    A trained model that is reused may have been made on another machine; `judged_on` is this one.
    """
    return {
        "run": run.id,
        "charter_digest": charter.digest,
        "data": {
            "id": charter.data_id,
            "source_digest": data.artifact.record["inputs"]["source"],
            "prepared_digest": data.artifact.digest,
            "test_digest": data.test_digest,
            "given": list(data.given),
            "prepared": prepared_facts(data.artifact),
        },
        "base": {
            "reference": charter.model.begins_with,
            "revision": charter.model.revision,
            "digest": trained.base.digest,
            **({"head": "kept"} if trained.base.head else {}),
        },
        **({"ancestors": [dict(one) for one in ancestors]} if ancestors else {}),
        **({"pretraining": dict(pretraining)} if pretraining else {}),
        "tokenizer": _tokenizer_digest(trained.artifact.path / "model" / "tokenizer.json"),
        **({"left": dict(left)} if left else {}),
        "trained_digest": trained.artifact.digest,
        "exports": {
            one.format: {
                "digest": one.digest,
                "temperature": dict(one.facts),
                "written": dict(one.written),
                "bytes": one.bytes,
                "answers": answers.get(one.format, ""),
            }
            for one in exported
        },
        "seeds": {"split": charter.data.split.seed, "training": charter.training.seed},
        "privacy": {**_promised(charter, trained), **ledger_told(ledger)},
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in (*RECORDED, *_of_forms(exported))},
        },
        "hardware": trained.artifact.record["made_on"],
        "trained": _at(charter, trained.artifact.record["created"]),
        "judged_on": machine(),
        "ended": _at(charter, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())),
    }


def _at(charter: Charter, time_: str) -> str:
    """A time as it goes on record: after a private search the day alone, since how long it took tells how many trials there were."""
    return time_ if trials_of(charter) is None else without_time(time_)


def _tokenizer_digest(path: Path) -> str:
    """The digest of a tokenizer, whatever length it was last asked to cut or pad texts to."""
    apart = ("truncation", "padding")
    return value_digest({key: one for key, one in read_json(path).items() if key not in apart})


def _of_forms(exported: Sequence[Exported]) -> list[str]:
    """The libraries of the released forms, each once."""
    return list(dict.fromkeys(library for one in exported for library in one.exporter.libraries))


def preparation_facts(charter: Charter, data: PreparedData, exported: Sequence[Exported]) -> dict[str, Any]:
    """What `charter predict` needs to treat new rows as the training rows were treated.

    `task` is as the first format settled it; where there are several, `settled` holds what each settled for itself.
    """
    several = {one.format: dict(one.task.fitted) for one in exported}
    return {
        "inputs": dict(exported[0].task.asked(data.columns.inputs)),
        "target": data.columns.target,
        "prepare": [dict(use) for use in row_wise_uses(charter)],
        "max_length": charter.model.max_length,
        "task": exported[0].task.state(),
        **({"settled": several} if len(several) > 1 else {}),
    }


def _promised(charter: Charter, trained: Trained) -> dict[str, Any]:
    """What training promises of privacy: nothing, unless it was private and its noise is nobody's to repeat."""
    asked = charter.privacy
    spent = next(
        (one.value for one in trained.findings if (one.area, one.metric) == ("privacy", "epsilon")), None
    )
    if asked is None or spent is None:
        return {"differential_privacy": False, "epsilon": None}
    return {
        "differential_privacy": True,
        "epsilon": spent,
        "delta": asked.delta,
        "unit": charter_unit(charter),
        "neighbouring": asked.neighbouring,
    }
