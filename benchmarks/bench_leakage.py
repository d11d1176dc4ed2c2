"""What duplicates do to a score: the tweets under a naive random split, and under Charter's.

naive: every tweet, nothing dropped, each row sent to a part at random, as most recipes do. closed: near-duplicates dropped
and likes kept on one side. Same base, seed, epochs and length. A group column tells naive test rows that have a like row
in training from those that have none, so one model shows on the same split what the leak adds.
With --quick: 5,000 tweets.
"""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from harness import Figures, main, run_charter

HERE = Path(__file__).parent
QUICK_ROWS = 5_000
PARTS = (("test", 0.15), ("validation", 0.10), ("calibration", 0.05))


def measure(quick: bool) -> Figures:
    text = (HERE.parent / "examples" / "tweets-full.yaml").read_text(encoding="utf-8")
    if quick:
        text = text.replace("  licence: MIT", f"  licence: MIT\n  max_rows: {QUICK_ROWS}")
    figures: dict[str, float] = {}
    folder = Path(tempfile.mkdtemp(prefix="charter-bench-"))
    for arm, charter in (("closed", text), ("naive", _naive(text, folder, QUICK_ROWS if quick else None))):
        result = run_charter(charter, folder)
        for one in result.record.findings:
            if (
                one.metric == "macro_f1"
                and one.area == "performance"
                and set(one.slice) <= {"like_in_training"}
            ):
                name = ".".join((arm, "macro_f1", *one.slice.values()))
                for end, value in (("", one.value), (".low", one.low), (".high", one.high), (".n", one.n)):
                    if value is not None:
                        figures[name + end] = float(value)
            if (
                one.metric == "leakage"
                and one.slice.get("split") == "test"
                and one.slice.get("kind") == "similar text"
            ):
                figures[f"{arm}.leaked_test_rows"] = float(one.value or 0)
    figures["naive_minus_closed.macro_f1"] = figures["naive.macro_f1"] - figures["closed.macro_f1"]
    return figures


def _naive(text: str, folder: Path, most: int | None) -> str:
    """Write the tweets with a random part for each row, and the charter that reads them as they are."""
    from charter.data.columns import ROW, Columns
    from charter.data.passes import prepare
    from charter.data.preparations.duplicates import near_pairs
    from charter.data.reading import read_source
    from charter.spec.data import Data
    from charter.spec.use import Use

    data = Data.model_validate(
        {"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment", "groups": ["topic"]}
    )
    uses = [
        Use(use="repair_text"),
        Use(use="normalise_label"),
        Use.model_validate({"use": "mask_pii", "locales": ["en", "zh"]}),
    ]
    rows = prepare(read_source(data, folder).frame, Columns.of(data), uses).frame
    rng = np.random.default_rng(7)
    order = rng.permutation(rows.height)[: most or rows.height]
    rows = rows.gather(np.sort(order))
    part = np.full(rows.height, "train", dtype=object)
    shuffled, start = rng.permutation(rows.height), 0
    for name, share in PARTS:
        size = round(share * rows.height)
        part[shuffled[start : start + size]] = name
        start += size
    firsts = near_pairs(rows["text"], 0.8)
    training = part == "train"
    like = np.zeros(rows.height, dtype=bool)
    # Equal texts are paired with their first only: two steps reach every like.
    for _ in range(2):
        near = np.zeros(rows.height, dtype=bool)
        reach = training | like
        near[firsts[reach[firsts[:, 0]], 1]] = True
        near[firsts[reach[firsts[:, 1]], 0]] = True
        like |= near
    rows.with_columns(
        pl.Series("part", part.tolist()), pl.Series("like_in_training", np.where(like, "yes", "no").tolist())
    ).drop(ROW).write_parquet(folder / "naive.parquet")
    return (
        text.replace("source: sample:tweets", "source: naive.parquet")
        .replace("groups: [topic]", "groups: [topic, like_in_training]\n  split: {column: part}")
        .replace("    - {use: drop_exact_duplicates}\n", "")
        .replace("    - {use: drop_near_duplicates, similarity: 0.8}\n", "")
        .replace(f"\n  max_rows: {most}", "")
    )


if __name__ == "__main__":
    main(measure, __doc__ or "")
