"""What privacy costs, and whom: Adult as text rows (data set `adult`), accuracy and the gaps between groups against epsilon.

`charter run --sweep privacy.epsilon=1,3,8,inf` of `charters/adult_sweep.yaml`. CHARTER_BENCH names a folder where the rows, the
runs and the page are kept. With --quick: 3,000 rows of each part, epsilon 8 and none.
"""

import csv
import os
import tempfile
from itertools import islice
from pathlib import Path

from harness import Figures, data_folder, main

CHARTER = Path(__file__).parent / "charters" / "adult_sweep.yaml"
KEPT = ("sex", "race")
ROWS = 10_000
"""The first of the 32,561 training and of the 16,281 test rows: a point takes some four minutes of one core."""


def _said(row: dict[str, str]) -> str:
    """A row in words; sex, race, the census' weight and what is missing are left out."""
    told = [f"{row['age']} years"]
    columns = ("workclass", "occupation", "education", "marital-status", "relationship", "native-country")
    told += [row[column].replace("-", " ").lower() for column in columns if row[column] != "?"]
    told.append(f"{row['hours-per-week']} hours")
    told += [
        f"{name.replace('-', ' ')} {row[name]}"
        for name in ("capital-gain", "capital-loss")
        if row[name] != "0"
    ]
    return ", ".join(told)


def _write(part: str, target: Path, most: int | None) -> None:
    source = data_folder() / "adult" / f"adult_{part}.csv"
    with (
        source.open(encoding="utf-8", newline="") as rows,
        target.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["text", *KEPT, "income"])
        for row in islice(csv.DictReader(rows), most):
            writer.writerow([_said(row), *(row[name] for name in KEPT), row["class"]])


def measure(quick: bool) -> Figures:
    """Accuracy and gaps with their intervals at each epsilon."""
    from charter.pipeline.sweeping import sweep
    from charter.release.report.sweep import render_sweep

    work = Path(os.environ.get("CHARTER_BENCH") or tempfile.mkdtemp(prefix="charter-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        _write(part, work / f"{part}.csv", 3_000 if quick else ROWS)
    (work / "charter.yaml").write_text(
        CHARTER.read_text(encoding="utf-8").replace("${WORK}", str(work)), encoding="utf-8"
    )
    swept = sweep(work / "charter.yaml", f"privacy.epsilon={'8,inf' if quick else '1,3,8,inf'}")
    for language in ("en", "zh"):
        page = render_sweep(swept, language=language)  # type: ignore[arg-type]
        (work / f"sweep.{language}.html").write_text(page, encoding="utf-8")
    figures: dict[str, float] = {}
    for point in swept.points:
        score = swept.score(point)
        told = [] if score is None else [("score", score.value, score.low, score.high)]
        told += [(f"gap.{gap.column}", gap.value, gap.low, gap.high) for gap in point.gaps]
        for name, value, low, high in told:
            for end, number in (("", value), (".low", low), (".high", high)):
                if number is not None:
                    figures[f"{point.said}.{name}{end}"] = number
    return figures


if __name__ == "__main__":
    main(measure, __doc__ or "")
