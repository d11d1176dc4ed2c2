"""Models begun at random on one book each: a small BERT by hidden tokens and next sentences, and a GPT of characters.

tales: Grimm's 51 fairy tales, each a document, of which the end is held out; BERT, 4 layers of 256, trained as Devlin et al.
(2019) did. shakespeare: nanoGPT's own task and split (the last tenth of the characters is judged on, all else learned from):
by nanoGPT's settings for a CPU (4 layers of 128, 64 characters, published loss 1.88 after 1.5 passes), for one pass and for
two, so that its 1.5 lies between; and a larger one for about an hour of one core. nanoGPT draws windows at random; Charter reads
each character once a pass. Losses are nats a character. The curves are in the reports, whose places are printed.
With --quick: one pass, the smaller ones.
"""

import math
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import Figures, data_folder, main

TALES = """\
name: tales
data:
  source: tales
  inputs: {{text: text}}
  public: true
  prepare: []
  split: {{tail: true, test: 0.1, validation: 0.05}}
model:
  architecture: {{use: bert, hidden_size: 256, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 1024}}
  tokenizer: {{use: wordpiece, size: 4000, lowercase: true}}
  max_length: 128
task: {{use: next_sentence_prediction}}
training: {{epochs: {epochs}, tokens_per_batch: 4096, learning_rate: 1.0e-3, seed: 7}}
audits: [{{use: performance}}]
limits: [token_accuracy >= 0.0]
"""
SHAKESPEARE = """\
name: {name}
data:
  source: "${{CHARTER_DATA}}/tinyshakespeare/input.txt"
  inputs: {{text: text}}
  public: true
  prepare: []
  split: {{tail: true, test: 0.1}}
model:
  architecture:
    {{use: gpt2, n_layer: {layers}, n_head: 4, n_embd: {width}, resid_pdrop: {dropout}, embd_pdrop: {dropout}, attn_pdrop: {dropout}}}
  tokenizer: {{use: characters, size: 200}}
  max_length: {length}
task: {{use: causal_language_modelling}}
training: {{epochs: {epochs}, tokens_per_batch: {batch}, learning_rate: 1.0e-3, schedule: cosine, weight_decay: 0.1, keep: last, seed: 7}}
audits: [{{use: performance}}]
limits: [token_accuracy >= 0.0]
"""
NANOGPT = {"layers": 4, "width": 128, "length": 64, "batch": 768, "dropout": 0.0}
LARGER = {"layers": 4, "width": 256, "length": 256, "batch": 4096, "dropout": 0.1}
PASSES = {"tales": 40, "shakespeare_1": 1, "shakespeare_2": 2, "shakespeare_larger": 10}
QUICK = ("tales", "shakespeare_1")


def measure(quick: bool) -> Figures:
    figures: dict[str, float] = {}
    for name, passes in PASSES.items():
        if quick and name not in QUICK:
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"charter-{name}-"))
        figures.update(_one(name, folder, 1 if quick else passes))
    return figures


def _one(name: str, folder: Path, passes: int) -> dict[str, float]:
    import charter

    if name == "tales":
        _write_tales(folder)
        text = TALES.format(epochs=passes)
    else:
        sizes = LARGER if name.endswith("larger") else NANOGPT
        text = SHAKESPEARE.format(name=name.replace("_", "-"), epochs=passes, **sizes)
        text = text.replace("${CHARTER_DATA}", str(data_folder()))
    place = folder / "charter.yaml"
    place.write_text(text, encoding="utf-8")
    started = time.process_time()
    result = charter.run(place)
    print(f"{name}: {result.report}")
    found = {f"{name}.passes": float(passes), f"{name}.cpu_seconds": time.process_time() - started}
    for finding in result.record.findings:
        if finding.area == "performance" and not finding.slice and finding.value is not None:
            found |= _told(f"{name}.{finding.metric}", finding)
            if finding.metric == "perplexity":
                found[f"{name}.loss"] = math.log(finding.value)
        if finding.area == "training" and finding.metric in ("tokens", "tokens_per_second", "parameters"):
            found[f"{name}.{finding.metric}"] = float(finding.value or 0)
    return found


def _told(name: str, finding: Any) -> dict[str, float]:
    """A value with its interval, where it has one."""
    each = {"": finding.value, ".low": finding.low, ".high": finding.high}
    return {f"{name}{end}": value for end, value in each.items() if value is not None}


def _write_tales(folder: Path) -> None:
    """The tales of the book, each a file, without what the publisher wrote."""
    place = folder / "tales"
    place.mkdir()
    book = (data_folder() / "grimm_tales" / "tales.txt").read_text(encoding="utf-8-sig")
    parts = [one.strip().removeprefix("[Illustration]").strip() for one in re.split(r"\n{4,}", book)]
    first = next(at for at, one in enumerate(parts) if one.startswith("THE FROG-KING"))
    last = next(at for at, one in enumerate(parts) if one.startswith("Transcriber"))
    for number, tale in enumerate(parts[first:last]):
        text = re.sub(r"\s+", " ", re.sub(r"\[Illustration[^\]]*\]", "", tale)).replace("_", "")
        (place / f"{number:02}.txt").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(measure, __doc__ or "")
