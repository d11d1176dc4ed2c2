"""Few examples: fine-tuning, and a head fitted to the base's vectors, with and without descriptions, as rows per class grow.

The same rows per class (drawn by a seed) and the same test rows for all; accuracy. Beside them the nearest description, which
needs no row, and TF-IDF with logistic regression. Whole runs by their charters, MiniLM.
"""

import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import Figures, data_folder, main, run_charter

TEST = 500
SETS = {
    "sst2": (
        ("sst2/train.tsv", "sst2/test.tsv"),
        {"0": "a bad film, boring and disappointing", "1": "a good film, enjoyable and moving"},
    ),
    "ag_news": (
        ("ag_news/dev.tsv", "ag_news/test.tsv"),
        {
            "World": "world news about politics, war and international affairs",
            "Sports": "sports news about games, teams and athletes",
            "Business": "business news about companies, markets and the economy",
            "Sci/Tech": "science and technology news about computers, the internet and research",
        },
    ),
}
ARMS = {
    "fine_tuned": "epochs: {epochs}",
    "head": "epochs: 0, objective: {{use: contrastive}}",
    "described_head": "epochs: 0, objective: {{use: contrastive}}",
}
UPDATES = 60
"""Updates that fine-tuning makes at least, in batches of 16."""
CHARTER = """\
name: few
data:
  source: {{train: train.jsonl, test: test.jsonl}}
  inputs: {{text: text}}
  target: label
  public: true
  prepare: []
model: {{base: "sample:minilm", max_length: 96}}
task: {{use: classification{descriptions}}}
training: {{{training}, batch_size: 16, learning_rate: 5.0e-5, seed: {seed}}}
audits: [{{use: performance, resamples: 200}}]
limits: [accuracy >= 0.0]
"""


def measure(quick: bool) -> Figures:
    sizes, draws = ((8,), 1) if quick else ((8, 16, 32, 64), 3)
    found: dict[str, list[float]] = {}
    for name in SETS:
        for size in sizes:
            for draw in range(draws):
                for key, value in _one(name, size, draw).items():
                    found.setdefault(f"{name}.{size}.{key}", []).append(value)
    figures: dict[str, float] = {}
    for key, values in found.items():
        figures[key] = float(np.mean(values))
        if len(values) > 1 and not key.endswith("seconds"):
            figures[f"{key}.lowest"], figures[f"{key}.highest"] = min(values), max(values)
    return figures


def _rows(name: str, part: int) -> list[dict[str, str]]:
    """A part of a set: text and label."""
    lines = (data_folder() / SETS[name][0][part]).read_text(encoding="utf-8").splitlines()
    parted = [line.rsplit("\t", 1) for line in lines]
    return [{"text": text, "label": label} for text, label in parted if label in SETS[name][1]]


def _one(name: str, size: int, draw: int) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="charter-few-"))
    generator = random.Random(draw)
    descriptions = SETS[name][1]
    train, test = _rows(name, 0), _rows(name, 1)
    chosen = [
        row
        for label in descriptions
        for row in generator.sample([one for one in train if one["label"] == label], size)
    ]
    _write(folder / "train.jsonl", chosen)
    _write(folder / "test.jsonl", random.Random(0).sample(test, TEST))
    found: dict[str, float] = {}
    epochs = -(-UPDATES // -(-len(chosen) // 16))
    for arm, training in ARMS.items():
        described = ", descriptions: " + json.dumps(descriptions) if arm == "described_head" else ""
        text = CHARTER.format(descriptions=described, training=training.format(epochs=epochs), seed=draw)
        started = time.process_time()
        result = run_charter(text, folder)
        found[f"{arm}.seconds"] = time.process_time() - started
        for finding in result.record.findings:
            if finding.metric == "accuracy" and finding.value is not None:
                if finding.area == "performance" and not finding.slice:
                    found[arm] = finding.value
                if finding.area == "baseline":
                    found[finding.slice["baseline"]] = finding.value
    return found


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main(measure, __doc__ or "")
