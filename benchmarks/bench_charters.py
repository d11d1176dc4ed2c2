"""Whole runs on real data: scores with intervals, baselines, and seconds, of three charters.

tweets: the demo's own charter. ncbi: NCBI-disease, published parts. chnsenticorp: Chinese reviews, English base.
With --quick: the demo's charter, and 600 rows of each of the others, one epoch.
"""

import os
import re
import time
from pathlib import Path

from harness import Figures, main, run_charter

HERE = Path(__file__).parent


def _charters(quick: bool) -> dict[str, str]:
    found = {
        "tweets": (HERE.parent / "examples" / ("tweets.yaml" if quick else "tweets-full.yaml")).read_text()
    }
    if os.environ.get("CHARTER_DATA"):
        for name in ("ncbi", "chnsenticorp"):
            text = (HERE / "charters" / f"{name}.yaml").read_text()
            if quick:
                text = re.sub(r"epochs: \d+", "epochs: 1", text)
                text = re.sub(r"(?m)^data:$", "data:\n  max_rows: 600", text)
            found[name] = text
    else:
        print("SKIPPED ncbi, chnsenticorp: set CHARTER_DATA to the folder of data sets")
    return found


def measure(quick: bool) -> Figures:
    figures: dict[str, float] = {}
    for name, text in _charters(quick).items():
        started = time.perf_counter()
        result = run_charter(text)
        figures[f"{name}.seconds"] = time.perf_counter() - started
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
