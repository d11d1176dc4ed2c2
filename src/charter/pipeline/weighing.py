"""Weigh: what each released form is as such, beside the first: agreement, time per text, size."""

import time
from pathlib import Path
from typing import Any

import polars as pl

from charter.audits.case import Answers
from charter.audits.forms import Form, Tokens, Told, measure_form
from charter.models.base import load_tokenizer
from charter.models.device import pick_device
from charter.models.inference import predict_outputs
from charter.pipeline.answering import HeldOut
from charter.pipeline.exporting import Exported
from charter.pipeline.judging import AUDIT_LIBRARIES
from charter.pipeline.learning import model_libraries
from charter.pipeline.preparing import PreparedData
from charter.release.manifest import ROOT_FORM
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.forms import PEFT
from charter.spec.model import Charter
from charter.tasks.language_model import LanguageModel
from charter.tasks.top_tokens import TopTokens

VERSION = 3
TIMED, WARM_UP = 100, 5
COMPARED = 200
"""Language models are compared token by token on so many test rows at most."""
MOST_SECONDS = 10.0
"""After this long no further text is timed: slow models need fewer."""


def weigh_form(
    run: Run,
    charter: Charter,
    data: PreparedData,
    one: tuple[Exported, HeldOut],
    first: tuple[Exported, HeldOut],
) -> list[Finding]:
    """Findings on a form as such. `one` is the form and what it answered, `first` the same of the first form."""
    exported, held_out = one
    is_first = exported is first[0]
    stage = Stage(
        f"weigh {exported.format}",
        VERSION,
        options={"max_length": charter.model.max_length, "roles": data.columns.as_json()},
        inputs={
            "answers": held_out.digest,
            "export": exported.artifact.digest,
            "first": "" if is_first else first[1].digest,
            "first_export": "" if is_first else first[0].artifact.digest,
            "rows": data.artifact.digest,
        },
        libraries=(*model_libraries(charter), *exported.exporter.libraries, *AUDIT_LIBRARIES),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work
        test = held_out.answers["test"]
        times = _timed(charter, data, exported, test)
        form = Form(exported.digest, exported.bytes, times, "time" if _on_gpu(exported) else "processor time")
        findings = measure_form(
            form,
            data.columns,
            own=Told(exported.task, test, None if is_first else _tokens(charter, data, exported, test)),
            first=None if is_first else _told(charter, data, first),
            seed=charter.training.seed,
        )
        write_findings(files / "findings.jsonl", findings)

    return read_findings(run.step(stage, make).path / "findings.jsonl")


def _told(charter: Charter, data: PreparedData, first: tuple[Exported, HeldOut]) -> Told:
    exported, test = first[0], first[1].answers["test"]
    return Told(exported.task, test, _tokens(charter, data, exported, test))


def _tokens(charter: Charter, data: PreparedData, exported: Exported, test: Answers) -> Tokens | None:
    """What a language model finds likeliest at each judged token of a random sample of test rows; None for other tasks."""
    task = exported.task
    if not isinstance(task, LanguageModel):
        return None
    rows = test.rows.sample(min(COMPARED, test.rows.height), seed=charter.training.seed, shuffle=True)
    tokenizer = load_tokenizer(exported.folder)
    examples = task.examples(rows, data.columns, tokenizer, charter.model.max_length, with_targets=False)
    return Tokens(rows, predict_outputs(exported.opened(None), TopTokens(task), examples))


def _on_gpu(exported: Exported) -> bool:
    """Whether torch computes it on a GPU; graphs are computed by the processor."""
    return exported.format in (ROOT_FORM, PEFT) and pick_device().type == "cuda"


def _timed(charter: Charter, data: PreparedData, exported: Exported, test: Answers) -> list[float]:
    """Milliseconds per text of a random sample of test rows, each alone, in one thread."""
    import torch

    clock = time.perf_counter if _on_gpu(exported) else time.process_time
    threads = torch.get_num_threads()
    try:
        model = exported.opened(1)
        torch.set_num_threads(1)
        tokenizer = load_tokenizer(exported.folder)
        rows = test.rows.sample(min(TIMED, test.rows.height), seed=charter.training.seed, shuffle=True)
        singles = list(rows.iter_slices(1))

        def answer(row: pl.DataFrame) -> Any:
            examples = exported.task.examples(
                row, data.columns, tokenizer, charter.model.max_length, with_targets=False
            )
            return predict_outputs(model, exported.task, examples)

        for row in singles[:WARM_UP]:
            answer(row)
        times: list[float] = []
        began = time.perf_counter()
        for row in singles:
            started = clock()
            answer(row)
            times.append((clock() - started) * 1e3)
            if time.perf_counter() - began > MOST_SECONDS:
                break
        return times
    finally:
        torch.set_num_threads(threads)
