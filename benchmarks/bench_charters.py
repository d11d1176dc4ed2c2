"""Whole runs on real data: scores with intervals, baselines, seconds and memory, of five charters.

tweets: the demo's own charter. ncbi: NCBI-disease, published parts. chnsenticorp: Chinese reviews, English base. sst2: GLUE's
SST-2, published parts. goemotions: several emotions per comment, published parts.
With --quick: the demo's charter, and 600 rows of each of the others, one epoch. CHARTER_BENCH_ONLY=NAME runs one of them.
"""

import json
import os
import re
import resource
import tempfile
import time
from pathlib import Path

from harness import Figures, data_folder, main, run_charter

HERE = Path(__file__).parent
ON_DATA = ("ncbi", "chnsenticorp", "sst2", "goemotions")


def _charters(quick: bool) -> dict[str, str]:
    found = {
        "tweets": (HERE.parent / "examples" / ("tweets.yaml" if quick else "tweets-full.yaml")).read_text()
    }
    if os.environ.get("CHARTER_DATA"):
        for name in ON_DATA:
            text = (HERE / "charters" / f"{name}.yaml").read_text()
            if name == "goemotions":
                text = text.replace("${WORK}", str(_goemotions(Path(tempfile.mkdtemp(prefix="goemotions-")))))
            if quick:
                text = re.sub(r"epochs: \d+", "epochs: 1", text)
                text = re.sub(r"(?m)^data:$", "data:\n  max_rows: 600", text)
            found[name] = text
    else:
        print(f"SKIPPED {', '.join(ON_DATA)}: set CHARTER_DATA to the folder of data sets")
    only = os.environ.get("CHARTER_BENCH_ONLY")
    return {name: text for name, text in found.items() if only in (None, name)}


def _goemotions(folder: Path) -> Path:
    """The published parts as JSON lines: they come without a heading, labels by their numbers in labels.txt."""
    source = data_folder() / "goemotions" / "original"
    labels = (source / "labels.txt").read_text(encoding="utf-8").split()
    for part in ("train", "dev", "test"):
        rows = [
            line.split("\t") for line in (source / f"{part}.tsv").read_text(encoding="utf-8").splitlines()
        ]
        lines = [
            json.dumps({"text": row[0], "labels": [labels[int(one)] for one in row[1].split(",")]})
            for row in rows
        ]
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def measure(quick: bool) -> Figures:
    figures: dict[str, float] = {}
    for name, text in _charters(quick).items():
        started = time.perf_counter()
        result = run_charter(text)
        figures[f"{name}.seconds"] = time.perf_counter() - started
        figures[f"{name}.peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        for finding in result.record.findings:
            if finding.area == "performance" and not finding.slice and finding.value is not None:
                figures[f"{name}.{finding.metric}"] = finding.value
                if finding.low is not None:
                    figures[f"{name}.{finding.metric}.low"] = finding.low
                    figures[f"{name}.{finding.metric}.high"] = finding.high
            if (
                finding.area == "baseline"
                and finding.value is not None
                and set(finding.slice) == {"baseline"}
            ):
                figures[f"{name}.{finding.slice['baseline']}.{finding.metric}"] = finding.value
            if (
                finding.metric == "expected_calibration_error"
                and len(finding.slice) <= 1
                and finding.value is not None
            ):
                where = finding.slice.get("temperature", "after")
                if not finding.slice or "temperature" in finding.slice:
                    figures[f"{name}.ece.{where}"] = finding.value
    return figures


if __name__ == "__main__":
    main(measure, __doc__ or "")
