"""Answering, against transformers' pipeline(): one text alone, and 32 of mixed lengths, from raw strings, in one thread.

The pipeline, plain torch and every released format take turns on the same texts in the same process, through the
public call that users make (`charter.open_answerer(bundle, engine=...).answer_texts(texts)`). Each figure NAME_vs_pipeline
is the median over rounds of the pipeline's time over the format's; CPU-seconds and wall-clock both stand in the table.

A bundle is named with --bundle; without, one is made by the charter of the demo with every format released
(half a minute of it is training, the rest exports).
Preparations: `same work` leaves the bundle's own preparations out, since the pipeline does none; `prepared` runs them.
"""

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from harness import Figures, main, run_charter

HERE = Path(__file__).parent
FORMATS = ("safetensors", "onnx", "onnx-int8", "openvino", "openvino-int8")
EXACT, INTEGER = ("safetensors", "onnx", "openvino"), ("onnx-int8", "openvino-int8")
TEXTS = 32


def _named() -> Path | None:
    """The bundle that --bundle names; taken off the command line, whose other options every benchmark shares."""
    if "--bundle" not in sys.argv:
        return None
    at = sys.argv.index("--bundle")
    place = Path(sys.argv[at + 1])
    del sys.argv[at : at + 2]
    return place


def _made() -> Path:
    """A bundle of the demo's charter with every format."""
    text = (HERE.parent / "examples" / "tweets.yaml").read_text(encoding="utf-8")
    text += f"\nrelease: {{formats: [{', '.join(FORMATS)}]}}\n"
    result: Any = run_charter(text)
    if result.bundle is None:
        sys.exit(f"the charter was not released, see {result.report}")
    return Path(result.bundle)


def _texts() -> list[str]:
    """Tweets of mixed lengths: every 1,171st of the sample, as they stand there."""
    from charter.data.reading import read_source
    from charter.spec.data import Data

    data = Data(source="sample:tweets", inputs={"text": "text"}, target="sentiment")
    return list(read_source(data, Path()).frame["text"].gather_every(1171)[:TEXTS])


def _pipeline(folder: Path) -> tuple[Callable[[str], Any], Callable[[Sequence[str]], Any]]:
    from transformers import pipeline

    answer = pipeline("text-classification", model=str(folder), device="cpu")
    return answer, lambda texts: answer(list(texts), batch_size=TEXTS)


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    """(CPU-seconds, wall-clock seconds) of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(quick: bool, named: Path | None = None) -> Figures:
    import torch
    from transformers.utils import logging

    import charter

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    place = named or _made()
    bundle = charter.open_bundle(place, allow_refused=True)
    alone, together = _pipeline(place)
    calls: dict[str, tuple[Callable[[str], Any], Callable[[Sequence[str]], Any]]] = {
        "pipeline": (alone, together)
    }
    for form in bundle.forms:
        ready = charter.open_answerer(bundle, engine=form, threads=1)
        bare = dataclasses.replace(ready, uses=())
        calls[form] = (bare.answer_texts, bare.answer_texts)
        calls[f"{form}, prepared"] = (ready.answer_texts, ready.answer_texts)
    texts = _texts()
    rounds = _rounds(calls, texts, 3 if quick else 15)
    figures = {**_ratios(rounds), **_evidence(place)}
    _print(rounds, figures)
    return figures


def _rounds(calls: Any, texts: Sequence[str], count: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Every way once a round, in turn, so that whatever else the machine does falls on all alike."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(count + 1):
        for name, (alone, together) in calls.items():
            singles = [_timed(lambda text=text, alone=alone: alone(text)) for text in texts]
            whole = _timed(lambda together=together: together(texts))
            if number:  # the first round warms up
                one = (
                    statistics.median(cpu for cpu, _ in singles),
                    statistics.median(wall for _, wall in singles),
                )
                found.setdefault((name, "batch1"), []).append(one)
                found.setdefault((name, "mixed32"), []).append(whole)
    return found


def _ratios(rounds: Any) -> dict[str, float]:
    """The pipeline's CPU time over each way's, the median over rounds; and the best exact and the best integer format."""
    figures: dict[str, float] = {}
    for (name, what), times in rounds.items():
        if name == "pipeline":
            continue
        pairs = zip(rounds["pipeline", what], times, strict=True)
        ratio = statistics.median(theirs[0] / ours[0] for theirs, ours in pairs)
        figures[f"{name.replace(', ', '.')}.{what}_vs_pipeline"] = ratio
    for what in ("batch1", "mixed32"):
        for kind, forms in (("exact", EXACT), ("int8", INTEGER)):
            known = [
                figures[f"{form}.{what}_vs_pipeline"]
                for form in forms
                if f"{form}.{what}_vs_pipeline" in figures
            ]
            if known:
                figures[f"{what}_vs_pipeline.{kind}"] = max(known)
        best = [value for name, value in figures.items() if name.startswith(f"{what}_vs_pipeline.")]
        figures[f"{what}_vs_pipeline"] = max(best)
    return figures


def _evidence(place: Path) -> dict[str, float]:
    """The score on the test split and the agreement with the first format, as the bundle's own findings have them."""
    from charter.release.manifest import form_digests, read_manifest
    from charter.runs.findings import read_findings

    forms = {digest: form for form, digest in form_digests(read_manifest(place)).items()}
    wanted = ("macro_f1", "expected_calibration_error", "format_agreement", "size")
    return {
        f"{forms[one.of]}.{one.metric}": one.value
        for one in read_findings(place / "charter" / "findings.jsonl")
        if one.of in forms and one.metric in wanted and not one.slice and one.value is not None
    }


def _print(rounds: Any, figures: Figures) -> None:
    print(
        f"{'':28s} {'batch 1: CPU ms':>16s} {'wall ms':>9s} {'ratio':>6s} {'32 mixed: CPU ms':>17s} {'wall ms':>9s} {'ratio':>6s}"
    )
    for name in dict.fromkeys(name for name, _ in rounds):
        line = f"{name:28s}"
        for what in ("batch1", "mixed32"):
            cpu, wall = (statistics.median(one[at] for one in rounds[name, what]) * 1e3 for at in (0, 1))
            ratio = figures.get(f"{name.replace(', ', '.')}.{what}_vs_pipeline", 1.0)
            line += f" {cpu:16.2f} {wall:9.2f} {ratio:6.2f}"
        print(line)


if __name__ == "__main__":
    named = _named()
    main(lambda quick: measure(quick, named), __doc__ or "")
