"""Judge a pre-trained base on texts that it has not learned from, beside the base that it was before."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from charter.audits.case import Answers, Case, FoldedTemperature
from charter.audits.measuring import TOGETHER
from charter.audits.performance import performance
from charter.audits.resampling import (
    Resampling,
    clusters,
    effective,
    percentile,
    resampled_totals,
    summed,
)
from charter.data.columns import Columns
from charter.models.base import Base, attach, has_own_head, load_model, load_tokenizer
from charter.models.inference import predict_outputs
from charter.pipeline.answering import answer_unigram
from charter.pipeline.learning import Trained
from charter.pipeline.preparing import PreparedData
from charter.pipeline.progress import OnProgress, Progress
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.model import Charter
from charter.tasks.baselines import Baseline
from charter.tasks.task import Outputs, Task

JUDGE, AREA = "judge base", "pretraining"
VERSION = 4
RESAMPLES, CONFIDENCE, FEWEST = 1000, 0.95, 30
KEPT = ("performance", "baseline")
BEFORE = {"base": "before"}
UNTAUGHT = {
    "new": "the base is new, with random weights: before pre-training there is nothing to foretell with",
    "found": "the base has no head of its own for this objective, so before pre-training it foretells nothing",
}
"""Why the base before pre-training was not judged: a random head's figure would say nothing of it."""


def judge_base(
    run: Run,
    charter: Charter,
    data: PreparedData,
    trained: Trained,
    bases: tuple[Base, Base],
    kind: Literal["new", "found"],
    on_progress: OnProgress,
) -> list[Finding]:
    """How surprised the pre-trained base is by held-out texts, beside the base before and token frequencies, on the same tokens.

    bases: before and after. kind: whether the one before is new, with random weights.
    """
    before, learned = bases
    rows = data.part("test")
    digest = frame_digest(rows)
    cheap = answer_unigram(run, charter, data, trained)
    stage = Stage(
        JUDGE,
        VERSION,
        options={"max_length": charter.model.max_length, "task": trained.task.state(), "kind": kind},
        inputs={
            "model": learned.digest,
            "before": before.digest,
            "rows": digest,
            "texts": data.artifact.digest,
        },
        libraries=("charter", "numpy", "tokenizers", "torch", "transformers"),
        seed=charter.training.seed,
    )

    def make(files: Path, work: Path) -> None:
        del work
        place, task, length = trained.artifact.path / "model", trained.task, charter.model.max_length
        seed = charter.training.seed
        held = _HeldOut(task, data.columns, rows, digest, length, seed, () if cheap is None else (cheap,))
        own = kind == "found" and (task.fills or task.writes) and has_own_head(before, task)
        examples = task.examples(rows, data.columns, load_tokenizer(place), length)

        def told(model: Any, earlier: int) -> Outputs:
            total = len(examples) * (2 if own else 1)
            tell = _from(on_progress, earlier * len(examples), total)
            return predict_outputs(model, task, examples, on_batch=tell)

        learned_model = task.rejoined(load_model(place, task), trained.artifact.path / "beside")
        after = told(learned_model, 0)
        found = held.scores(after, learned.digest)
        if own:
            earlier = told(attach(before, task, seed=held.seed, max_length=length), 1)
            scored = replace(held, beside=()).scores(earlier, before.digest)
            found += [replace(one, slice=BEFORE) for one in scored if one.metric == "perplexity"]
            found.append(held.ratio(after, earlier, learned.digest))
        elif task.fills or task.writes:  # else the perplexity is another model's, which learned beside it
            found.append(held.finding("perplexity", because=UNTAUGHT[kind], of=before.digest, slice=BEFORE))
        write_findings(files / "findings.jsonl", found)

    return read_findings(run.step(stage, make).path / "findings.jsonl")


def _from(on_progress: OnProgress, start: int, total: int) -> Callable[[int, int], None]:
    return lambda done, _: on_progress(Progress(JUDGE, start + done, total))


@dataclass(frozen=True)
class _HeldOut:
    """The texts that bases are judged on, and how."""

    task: Task
    columns: Columns
    rows: pl.DataFrame
    digest: str
    length: int
    seed: int
    beside: tuple[Baseline, ...] = ()

    def finding(self, metric: str, value: float | None = None, **told: Any) -> Finding:
        """Something measured on these texts."""
        return Finding(AREA, metric, value, n=self.rows.height, on=self.digest, split="test", **told)

    def scores(self, outputs: Outputs, of: str) -> list[Finding]:
        """All scores of a base by its outputs. of: its digest."""
        case = Case(
            of=of,
            task=self.task,
            columns=Columns(self.columns.inputs, form=self.columns.form),
            train=self.rows.clear(),
            answers={"test": Answers(self.rows, outputs, self.digest)},
            temperature=FoldedTemperature(because="no temperature is fitted"),
            seed=self.seed,
            beside=self.beside,
            reading=self.task.reading(self.length),
        )
        return [replace(one, area=AREA) for one in performance()(case) if one.area in KEPT]

    def ratio(self, after: Outputs, before: Outputs, of: str) -> Finding:
        """The perplexity after pre-training over that before, on the same tokens: paired, over documents."""
        cluster = clusters(self.rows, None)
        if effective(np.bincount(cluster)) < FEWEST:
            because = f"insufficient evidence: {self.rows.height} rows, at least {FEWEST} are needed"
            return self.finding("perplexity_ratio", because=because, of=of)
        both = [self.task.tally(one, self.rows, self.columns) for one in (after, before)]
        by_unit = summed(np.concatenate(both, axis=1), cluster)
        width = both[0].shape[1]

        def ratio(totals: Any) -> Any:
            later, earlier = (totals[..., at] / totals[..., at + 1] for at in (0, width))
            return np.exp(later - earlier)

        how = Resampling(RESAMPLES, CONFIDENCE, self.seed)
        unit = "rows" if len(by_unit) == self.rows.height else f"{len(by_unit)} {TOGETHER}"
        found = percentile(
            float(ratio(by_unit.sum(axis=0))), ratio(resampled_totals(by_unit, how)), how, unit
        )
        method = f"perplexity after pre-training over that before, on the same tokens; paired {found.method}"
        ends = {"low": found.low, "high": found.high, "confidence": CONFIDENCE}
        return self.finding("perplexity_ratio", found.value, method=method, of=of, **ends)
