"""SST-2 within a privacy budget: accuracy on GLUE's development set, by what learns and by epsilon, at delta 1/(2n).

head, bias and lora at epsilon 3 and 8, full at 8: the charters `charters/sst2_private_*.yaml`, each a whole `charter run`. It
takes about four hours of one core; CHARTER_BENCH_ONLY=head, or head@3, makes only these. With --quick: 2,000 rows, one epoch.
"""

import os
import re
import time
from pathlib import Path

from harness import Figures, main, run_charter

CHARTERS = Path(__file__).parent / "charters"
SETTINGS = (("head", 3), ("head", 8), ("bias", 3), ("bias", 8), ("lora", 3), ("lora", 8), ("full", 8))


def _charter(learns: str, epsilon: int, *, quick: bool) -> str:
    text = (CHARTERS / f"sst2_private_{learns}.yaml").read_text(encoding="utf-8")
    text = text.replace("epsilon: 8", f"epsilon: {epsilon}")
    if quick:
        text = re.sub(r"epochs: \d+", "epochs: 1", text)
        text = re.sub(r"(?m)^data:$", "data:\n  max_rows: 2000", text)
        text = text.replace("accuracy >= 0.8", "accuracy >= 0.1").replace(
            "accuracy >= 0.75", "accuracy >= 0.1"
        )
    return text


def measure(quick: bool) -> Figures:
    """Accuracy with its interval, epsilon spent, and seconds of each setting."""
    figures: Figures = {}
    only = os.environ.get("CHARTER_BENCH_ONLY")
    for learns, epsilon in SETTINGS:
        name = f"{learns}@{epsilon}"
        if only not in (None, learns, name):
            continue
        started = time.process_time()
        found = run_charter(_charter(learns, epsilon, quick=quick)).record.findings
        figures[f"{name}.cpu_seconds"] = time.process_time() - started
        for one in found:
            if one.slice or one.value is None:
                continue
            if (one.area, one.metric) == ("performance", "accuracy"):
                figures[f"{name}.accuracy"] = one.value
                figures[f"{name}.accuracy.low"], figures[f"{name}.accuracy.high"] = one.low, one.high
            if (one.area, one.metric) == ("privacy", "epsilon"):
                figures[f"{name}.epsilon"] = one.value
    return figures


if __name__ == "__main__":
    main(measure, __doc__ or "")
