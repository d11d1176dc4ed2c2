"""Preparing text at size: Charter's prepare stage against `datasets.map` doing the same work, on the tweets many times over.

The work: read Parquet, repair encoding damage, mask personal data, drop exact and near duplicates, write Parquet. Charter's side is
the whole prepare stage, which also tidies labels, measures leakage, divides the rows and writes its findings; the peer's side is
what a user of `datasets` writes: one function per text in a batched `map`, a `filter` with a set of seen texts, and `select`. The
near-duplicates are found by Charter's own join on both sides, so that both keep the same rows, which is checked.

The copies: in each copy of the tweets letters and digits are exchanged by a permutation of its own (vowels stay vowels, upper case
stays upper case; entities and the beginnings of links are left alone). So a copy holds as many duplicates, damaged characters and
addresses as the original and shares no longer text with other copies; drawn at random, duplicates between copies would grow with
the square of their number.

Every arm runs in a process of its own, in turn; CPU-seconds and peak memory (resident) are those of that process.
With --quick: once and 10 times. Else: 10 and 100 times.
"""

import json
import os
import random
import re
import resource
import string
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
from harness import Figures, main

CHARTER = {
    "name": "tweets",
    "data": {
        "source": "tweets.parquet",
        "inputs": {"text": "text"},
        "target": "sentiment",
        "groups": ["topic"],
        "prepare": [
            {"use": "repair_text"},
            {"use": "normalise_label"},
            {"use": "mask_pii", "locales": ["en", "zh"]},
            {"use": "drop_exact_duplicates"},
            {"use": "drop_near_duplicates", "similarity": 0.8},
        ],
    },
    "model": {"base": "none"},
    "task": {"use": "classification"},
}
PROTECTED = re.compile(r"(&#?\w+;|https?://|www\.)")


def measure(quick: bool) -> Figures:
    few, many = (1, 10) if quick else (10, 100)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="charter-bench-", dir=os.environ.get("TMPDIR")) as folder:
        for times in (few, many):
            place = Path(folder) / f"x{times}"
            place.mkdir()
            documents = write_copies(place / "tweets.parquet", times)
            for arm in ("charter", "datasets_map"):
                told = _run(arm, place)
                name = f"{arm}_x{times}"
                figures[f"{name}.documents_per_cpu_second"] = documents / told["cpu"]
                figures[f"{name}.cpu_seconds"] = told["cpu"]
                figures[f"{name}.peak_memory_mb"] = told["peak_mb"]
            if not (place / "charter.rows").read_bytes() == (place / "datasets_map.rows").read_bytes():
                raise SystemExit(f"x{times}: the two sides keep different rows or texts")
    for times in (few, many):
        peer = figures[f"charter_x{times}.documents_per_cpu_second"]
        figures[f"vs_datasets_map_x{times}"] = (
            peer / figures[f"datasets_map_x{times}.documents_per_cpu_second"]
        )
    figures["vs_datasets_map"] = figures[f"vs_datasets_map_x{many}"]
    figures["cost_growth"] = figures[f"charter_x{many}.cpu_seconds"] / (
        many / few * figures[f"charter_x{few}.cpu_seconds"]
    )
    figures[f"peak_memory_mb_x{many}"] = figures[f"charter_x{many}.peak_memory_mb"]
    return figures


def write_copies(path: Path, times: int) -> int:
    """Write the tweets so many times over, each copy in letters of its own, and tell how many rows that are."""
    import pyarrow.parquet

    from charter.data.reading import read_source
    from charter.spec.data import Data

    data = Data.model_validate(
        {"source": "sample:tweets", "inputs": {"text": "text"}, "target": "sentiment", "groups": ["topic"]}
    )
    tweets = read_source(data, Path()).frame.select("text", "sentiment", "topic")
    parts = [PROTECTED.split(text) for text in tweets["text"].to_list()]
    writer = None
    for copy in range(times):
        letters = _letters(copy)
        texts = [
            "".join(part if at % 2 else part.translate(letters) for at, part in enumerate(one))
            for one in parts
        ]
        frame = tweets.with_columns(pl.Series("text", texts))
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pyarrow.parquet.ParquetWriter(path, arrow.schema)
        writer.write_table(arrow)
    if writer is not None:
        writer.close()
    return tweets.height * times


def _letters(copy: int) -> dict[int, str]:
    """The permutation of one copy; the first copy is the original."""
    if copy == 0:
        return {}
    rng = random.Random(copy)
    table: dict[str, str] = {}
    consonants = "".join(sorted(set(string.ascii_lowercase) - set("aeiou")))
    for signs in ("aeiou", consonants, string.digits):
        mixed = rng.sample(signs, len(signs))
        table |= dict(zip(signs, mixed, strict=True))
        table |= dict(zip(signs.upper(), "".join(mixed).upper(), strict=True))
    return str.maketrans(table)


def _run(arm: str, place: Path) -> dict[str, float]:
    """One arm in a process of its own: {cpu, peak_mb}."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--arm", arm, str(place)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def charter_arm(place: Path) -> pl.DataFrame:
    """The prepare stage of a charter."""
    from charter.pipeline.preparing import prepare_data
    from charter.runs.run import begin_run
    from charter.runs.store import Store
    from charter.spec.model import Charter

    charter = Charter.model_validate(CHARTER)
    with begin_run(Store(place / "runs"), charter.name, charter.digest) as run:
        data = prepare_data(run, charter, place)
    return data.scan().select("_row", "text").collect()


def datasets_arm(place: Path) -> pl.DataFrame:
    """The same work with `datasets`."""
    import datasets
    import numpy as np

    from charter.data.preparations import forms, pii, repair
    from charter.data.similarity.alike import joined_texts, representatives
    from charter.data.words import folded

    datasets.disable_progress_bars()
    kinds = forms.kinds_of(("en", "zh"), urls=False, handles=False)
    mojibake, terminal, control = (
        re.compile(one) for one in (repair._MOJIBAKE, repair._TERMINAL, repair._CONTROL)
    )

    def cleaned(text: str) -> str:
        if mojibake.search(text):
            text = repair._decoded_again(text)
        text = repair._unescaped(text).replace("\r\n", "\n").replace("\r", "\n")
        text = control.sub("", terminal.sub("", text))
        return pii.mask(text, kinds, pii.Counter())

    def keys(texts: list[str]) -> list[str]:
        return folded(pl.Series(texts)).to_list()

    seen: set[str] = set()

    def is_new(key: str) -> bool:
        if key in seen:
            return False
        seen.add(key)
        return True

    rows = datasets.load_dataset(
        "parquet", data_files=str(place / "tweets.parquet"), split="train", cache_dir=str(place / "cache")
    )
    rows = rows.map(lambda batch, at: {"text": [cleaned(one) for one in batch["text"]], "_row": [one + 1 for one in at]},
                    batched=True, with_indices=True)  # fmt: skip
    rows = rows.filter(lambda batch: [is_new(key) for key in keys(batch["text"])], batched=True)
    texts = keys(rows["text"][:])
    joined = joined_texts(texts, 0.8)
    stays = representatives(joined, 0.8, np.ones(len(texts), dtype=bool)).stays
    rows = rows.select(np.flatnonzero(stays))
    rows.to_parquet(place / "datasets.parquet")
    return pl.read_parquet(place / "datasets.parquet", columns=["_row", "text"])


def _one_arm(arm: str, place: Path) -> None:
    made = {"charter": charter_arm, "datasets_map": datasets_arm}[arm](place)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    (place / f"{arm}.rows").write_text(str(made.select("_row", "text").hash_rows().sort().to_list()))
    print(json.dumps({"cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--arm"]:
        _one_arm(sys.argv[2], Path(sys.argv[3]))
    else:
        main(measure, __doc__ or "")
