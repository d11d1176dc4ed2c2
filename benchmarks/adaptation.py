"""What pre-training on unlabelled text of the domain brings before fine-tuning on 500 labelled examples: with and without it.

tweets: MiniLM as it is, against MiniLM after masked language modelling on tweets without labels. reviews (Chinese hotel reviews):
a small BERT with a tokenizer of its own, begun at random, against the same one pre-trained on the training part's text. The
rows that are learned from, judged on and drawn for fine-tuning are the same for both; TF-IDF with logistic regression on the
500 beside them. Whole runs by their charters; macro F1 with its interval for each seed of fine-tuning, and the paired difference.
With --quick: fewer texts, one seed.
"""

import csv
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figures, data_folder, main

LABELLED, TEST = 500, 1_500
SEEDS = (7, 1, 2)
SETS = ("tweets", "reviews")
TEXTS = {"tweets": 10_000, "reviews": 10_000}
"""Texts that are pre-trained on, at most; of the reviews that is all that are not judged on."""
QUICK_TEXTS, QUICK_TEST, QUICK_EPOCHS = 600, 300, 2
BEGUN = {
    "tweets": '{base: "sample:minilm", max_length: 96}',
    "reviews": "{architecture: {use: bert, hidden_size: 256, num_hidden_layers: 4, num_attention_heads: 4, "
    "intermediate_size: 1024}, tokenizer: {use: wordpiece, size: 6000}, max_length: 128}",
}
PRETRAINING = {
    "tweets": "{{source: texts.jsonl, tokens_per_batch: 2048, learning_rate: 1.0e-4, epochs: {epochs}}}",
    "reviews": "{{source: texts.jsonl, tokens_per_batch: 2048, learning_rate: 1.0e-3, epochs: {epochs}}}",
}
PASSES = {"tweets": 1, "reviews": 8}
RATE = {"tweets": 5e-5, "reviews": 1e-4}
EPOCHS = {"tweets": 5, "reviews": 8}
CHARTER = """\
name: {name}
data:
  source: {{train: labelled.jsonl, test: test.jsonl}}
  inputs: {{text: text}}
  target: label
  public: true
  prepare: []
model: {model}
{pretraining}
task: {{use: classification}}
training: {{epochs: {epochs}, batch_size: 16, learning_rate: {rate}, seed: {seed}, keep: last}}
audits: [{{use: performance}}]
limits: [macro_f1 >= 0.0]
"""


def measure(quick: bool) -> Figures:
    figures: dict[str, float] = {}
    for name in SETS:
        figures.update({f"{name}.{key}": value for key, value in _one(name, quick).items()})
    return figures


def _one(name: str, quick: bool) -> dict[str, float]:
    import charter

    folder = Path(tempfile.mkdtemp(prefix=f"charter-adaptation-{name}-"))
    texts = _write_parts(name, folder, quick)
    found: dict[str, float] = {"texts": float(texts)}
    scores: dict[str, list[float]] = {"without": [], "with": [], "difference": []}
    for seed in SEEDS[:1] if quick else SEEDS:
        started = time.process_time()
        with_it = _run(folder, name, "with", BEGUN[name], seed, quick=quick, pretrained=True)
        found.setdefault("with.seconds", time.process_time() - started)
        begun = BEGUN[name] if name == "tweets" else _begun(folder, with_it)
        without = _run(folder, name, "without", begun, seed, quick=quick)
        for arm, result in (("with", with_it), ("without", without)):
            one = _finding(result, "performance", "macro_f1")
            found |= {
                f"{arm}.{seed}": one.value,
                f"{arm}.{seed}.low": one.low,
                f"{arm}.{seed}.high": one.high,
            }
            scores[arm].append(one.value)
        compared = charter.compare([without.folder, with_it.folder], store=folder / "runs")
        difference = compared.difference(compared.pairs[0], "macro_f1")
        if difference is None:
            raise SystemExit("the two runs can't be compared on the same rows")
        found |= {
            f"difference.{seed}": difference.value,
            f"difference.{seed}.low": difference.low,
            f"difference.{seed}.high": difference.high,
        }
        scores["difference"].append(difference.value)
        for finding in with_it.record.findings:
            if finding.area == "pretraining" and finding.metric in ("perplexity", "tokens", "seconds"):
                found.setdefault(f"pretraining.{finding.metric}", finding.value)
            if (
                finding.area == "baseline"
                and finding.metric == "macro_f1"
                and set(finding.slice) == {"baseline"}
            ):
                found.setdefault(finding.slice["baseline"], finding.value)
                found.setdefault(f"{finding.slice['baseline']}.low", finding.low)
                found.setdefault(f"{finding.slice['baseline']}.high", finding.high)
    return found | {f"{key}.mean": float(np.mean(values)) for key, values in scores.items()}


def _run(
    folder: Path, name: str, arm: str, model: str, seed: int, *, quick: bool, pretrained: bool = False
) -> Any:
    import charter

    first = PRETRAINING[name].format(epochs=min(PASSES[name], QUICK_EPOCHS) if quick else PASSES[name])
    text = CHARTER.format(
        name=f"{name}-{arm}-{seed}",
        model=model,
        pretraining=f"pretraining: {first}" if pretrained else "",
        epochs=QUICK_EPOCHS if quick else EPOCHS[name],
        rate=RATE[name],
        seed=seed,
    )
    path = folder / "charter.yaml"
    path.write_text(text, encoding="utf-8")
    return charter.run(path)


def _begun(folder: Path, result: Any) -> str:
    """The same new model with the same tokenizer before it was pre-trained, as a base."""
    from charter.runs.store import Store

    stage = next(one for one in result.record.stages if one["name"] == "begin")
    begun = Store(folder / "runs").with_digest(stage["digest"])
    if begun is None:
        raise SystemExit("the model as it began is not in the store any more")
    return f"{{base: {json.dumps(str(begun.path / 'model'))}, max_length: 128}}"


def _finding(result: Any, area: str, metric: str) -> Any:
    return next(
        one for one in result.record.findings if (one.area, one.metric, one.slice) == (area, metric, {})
    )


def _write_parts(name: str, folder: Path, quick: bool) -> int:
    """Texts without labels, 500 rows with labels drawn of the same, and test rows that are in neither."""
    rows = _tweets() if name == "tweets" else _reviews()
    random.Random(0).shuffle(rows)
    test, learned = rows[: QUICK_TEST if quick else TEST], rows[TEST:]
    texts = learned[: QUICK_TEXTS if quick else TEXTS[name]]
    _write(folder / "test.jsonl", test)
    _write(folder / "labelled.jsonl", texts[:LABELLED])
    _write(folder / "texts.jsonl", [{"text": row["text"]} for row in texts])
    return len(texts)


def _tweets() -> list[dict[str, str]]:
    """The sample's tweets, repaired, no two of them alike: a test row has no double among those learned from."""
    from charter.data.columns import Columns
    from charter.data.passes import prepare
    from charter.data.reading import read_source
    from charter.spec.data import Data
    from charter.spec.use import Use

    data = Data.model_validate({"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment"})
    uses = [Use(use="repair_text"), Use(use="drop_near_duplicates")]
    frame = prepare(read_source(data, Path()).frame, Columns.of(data), uses).frame
    return [{"text": text, "label": label} for text, label in frame.select("text", "sentiment").iter_rows()]


def _reviews() -> list[dict[str, str]]:
    """ChnSentiCorp's hotel reviews, each once."""
    place = data_folder() / "chnsenticorp" / "ChnSentiCorp_htl_all.csv"
    with place.open(encoding="utf-8", newline="") as stream:
        each = {row["review"]: row["label"] for row in csv.DictReader(stream) if row["review"].strip()}
    return [{"text": text, "label": label} for text, label in each.items()]


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main(measure, __doc__ or "")
