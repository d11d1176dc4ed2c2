"""A corpus larger than is comfortable to hold: 2 GB of text prepared, and the first updates of pre-training made, in bounded memory.

The corpus is written on the spot by a seeded generator: documents of all lengths (median about 1,300 characters, some of
hundreds of thousands), words by Zipf's law with new ones all the time, an eighth in Chinese, some equal to others and some
nearly so, some with damaged characters.

charter: a whole `charter.run` of a charter that pre-trains before its task, stopped after a few updates: texts are read, repaired,
freed of exact and near duplicates, divided, kept apart from what the task is judged on; a tokenizer is learned; pieces are written;
the updates are made. Its peak is the resident memory of the process and of all it starts, from /proc, the part that is not
backed by files too. stages: the peak in each stage.
pieces, datasets_map: the same documents (a share of the corpus) to blocks of 128 tokens, by the same tokenizer, one thread:
Charter's own pieces, documents kept apart; and `datasets.map` twice as run_mlm.py does (tokenize, then group_texts). Each runs in a
process of its own.
With --quick: 100 MB, and 20 MB for the peer. Else: 2,000 MB and 100.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figures, main

MEGABYTES, SHARE = 2_000, 100
QUICK_MEGABYTES, QUICK_SHARE = 100, 20
SEED = 11
SHARD_BYTES = 250_000_000
UPDATES = 10
LENGTH = 128
WORDS, HAN = 120_000, 3_500
STAGES = ("prepare texts", "keep apart", "begin", "pretrain")
CHARTER = """\
name: corpus
data: {source: task.jsonl, inputs: {text: text}, target: label}
model:
  architecture: {use: bert, hidden_size: 128, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 512}
  tokenizer: {use: wordpiece, size: 8000}
  max_length: 128
pretraining:
  source: corpus/*.jsonl
  held_out: 0.002
  tokens_per_batch: 4096
  prepare: [{use: repair_text}, {use: drop_exact_duplicates}, {use: drop_near_duplicates}]
task: {use: classification}
"""


def measure(quick: bool) -> Figures:
    megabytes, share = (QUICK_MEGABYTES, QUICK_SHARE) if quick else (MEGABYTES, SHARE)
    with tempfile.TemporaryDirectory(prefix="charter-corpus-", dir=os.environ.get("TMPDIR")) as folder:
        place = Path(folder)
        written = write_corpus(place, megabytes * 1_000_000)
        told = _run("charter", place)
        figures = {
            "corpus_gb": written["bytes"] / 1e9,
            "documents": written["documents"],
            "peak_memory_mb": told["peak_mb"],
            "peak_anonymous_mb": told["anonymous_mb"],
            "prepare_seconds": told["prepare_seconds"],
            "prepare_cpu_seconds": told["cpu"],
            "documents_per_cpu_second": written["documents"] / told["cpu"],
            "documents_dropped": told["dropped"],
            "updates": told["updates"],
        }
        figures |= {f"stages.{name}": value for name, value in told["stages"].items()}
        shared = _share(place, share * 1_000_000)
        for arm in ("pieces", "datasets_map"):
            found = _run(arm, place)
            figures[f"{arm}.documents_per_cpu_second"] = shared / found["cpu"]
            figures[f"{arm}.peak_memory_mb"] = found["peak_mb"]
    peer = figures["datasets_map.documents_per_cpu_second"]
    figures["vs_datasets_map"] = figures["pieces.documents_per_cpu_second"] / peer
    return figures


def write_corpus(place: Path, size: int) -> dict[str, float]:
    """Write about so many bytes of text (UTF-8) as shards of JSON lines, and the rows of a small task; tell how much it is."""
    folder = place / "corpus"
    folder.mkdir()
    texts = documents()
    total = count = shard = 0
    while total < size:
        with (folder / f"{shard:03d}.jsonl").open("w", encoding="utf-8") as stream:
            begun = total
            while total < size and total - begun < SHARD_BYTES:
                text = next(texts)
                stream.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                total += len(text.encode())
                count += 1
        shard += 1
    task = random.Random(SEED)
    rows = [
        {"text": " ".join(task.choice(("good", "bad", "warm", "cold", "room", "meal")) for _ in range(9)) + f" {n}", "label": "ab"[n % 2]}
        for n in range(400)
    ]  # fmt: skip
    rows += [{"text": next(texts)[:2_000], "label": "ab"[n % 2]} for n in range(200)]
    (place / "task.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (place / "charter.yaml").write_text(CHARTER, encoding="utf-8")
    return {"bytes": total, "documents": count}


def documents() -> Iterator[str]:
    """Documents without end, always the same ones."""
    rng, dice = np.random.default_rng(SEED), random.Random(SEED)
    words = np.asarray(_words(dice, WORDS), dtype=object)
    han = np.asarray([chr(0x4E00 + 5 * at) for at in range(HAN)], dtype=object)
    said, signs = _zipf(WORDS), _zipf(HAN)
    kept: list[str] = []
    while True:
        if len(kept) > 100 and dice.random() < 0.06:
            old = dice.choice(kept)
            yield old if dice.random() < 0.5 else _nearly(old, dice)
            continue
        length = min(int(dice.lognormvariate(5.4, 1.0)), 60_000) if dice.random() > 0.0003 else 60_000
        if dice.random() < 0.125:
            drawn = han[np.searchsorted(signs, rng.random(2 * length))]
            text = "".join(sign + ("。" if at % 17 == 16 else "") for at, sign in enumerate(drawn.tolist()))
        else:
            drawn = words[np.searchsorted(said, rng.random(length))].tolist()
            for at in range(0, length, 150):  # names and numbers that nobody wrote before
                drawn[at] = dice.choice((str(dice.randrange(10**6)), _word(dice).title()))
            text = ". ".join(" ".join(drawn[at : at + 15]) for at in range(0, length, 15))
            text = text.replace("ea", "Ã©") if dice.random() < 0.01 else text
        if len(kept) < 20_000 and len(text) < 20_000:
            kept.append(text)
        yield text


def _zipf(n: int) -> Any:
    return np.cumsum(1 / (np.arange(n) + 2.7)) / np.sum(1 / (np.arange(n) + 2.7))


ONSETS = (
    "", "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "pr", "pl", "ch", "sh",
    "th", "br", "gr", "sp",
)  # fmt: skip
VOWELS = ("a", "e", "i", "o", "u", "ea", "ou", "ai", "ee", "o")
CODAS = ("", "", "", "n", "r", "s", "t", "l", "d", "m", "st", "nd", "ng", "ck")


def _word(dice: random.Random) -> str:
    syllables = dice.choice((1, 1, 2, 2, 2, 3, 3, 4))
    return "".join(dice.choice(ONSETS) + dice.choice(VOWELS) + dice.choice(CODAS) for _ in range(syllables))


def _words(dice: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[_word(dice)] = None
    return sorted(found, key=lambda one: len(one) + dice.random() * 6)  # common words are short


def _nearly(text: str, dice: random.Random) -> str:
    """The text with a word or two more."""
    at = dice.randrange(len(text))
    return f"{text[:at]} {_word(dice)} {text[at:]}"


def _share(place: Path, size: int) -> int:
    """The first documents of the corpus as a file of their own; how many they are."""
    total = count = 0
    with (place / "share.jsonl").open("w", encoding="utf-8") as out:
        for shard in sorted((place / "corpus").glob("*.jsonl")):
            with shard.open(encoding="utf-8") as lines:
                for line in lines:
                    if total >= size:
                        return count
                    out.write(line)
                    total += len(line.encode())
                    count += 1
    return count


def _run(arm: str, place: Path) -> dict[str, Any]:
    """One arm in a process of its own, which is watched: what it tells, and its peak memory."""
    environment = {
        **os.environ,
        **dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, __file__, "--arm", arm, str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    watch = _Watch(process.pid)
    watch.start()
    output = process.communicate()[0]
    watch.ended.set()
    watch.join()
    if process.returncode:
        raise SystemExit(f"{arm}: ended with {process.returncode}")
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(f"{arm}: {json.dumps(told)}", file=sys.stderr)
    return {**told, "peak_mb": max(told["own_peak_mb"], watch.most), "anonymous_mb": watch.most_anonymous}


class _Watch(threading.Thread):
    """Looks twenty times a second at the resident memory of a process and of all that it started."""

    def __init__(self, process: int) -> None:
        super().__init__()
        self.process, self.ended = process, threading.Event()
        self.most = self.most_anonymous = 0.0

    def run(self) -> None:
        while not self.ended.wait(0.05):
            found = [memory(one) for one in _tree(self.process)]
            self.most = max(self.most, sum(one.get("VmRSS", 0.0) for one in found))
            self.most_anonymous = max(self.most_anonymous, sum(one.get("RssAnon", 0.0) for one in found))


def _tree(process: int) -> list[int]:
    try:
        started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return [process]
    return [process, *(one for child in started for one in _tree(int(child)))]


def memory(process: int | str) -> dict[str, float]:
    """What /proc says of a process's memory, in MB."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":") for line in lines if line.startswith(("Vm", "Rss")))
    return {name: int(value.split()[0]) / 1024 for name, value in pairs}


def charter_arm(place: Path) -> dict[str, Any]:
    """A whole run, stopped after a few updates."""
    import charter

    stages: dict[str, float] = {}
    now, began = "", time.monotonic()
    peak = 0.0

    def event(one: Any) -> None:
        nonlocal now, peak
        own = memory("self")["VmHWM"]
        peak = max(peak, own)
        if one.kind == "made" and one.stage in STAGES:
            stages[f"{one.stage.replace(' ', '_')}.peak_memory_mb"] = own
            stages[f"{one.stage.replace(' ', '_')}.seconds"] = one.seconds
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's own peak begins anew
        now = one.stage

    def progress(one: Any) -> None:
        if one.stage == "pretrain":
            told.setdefault("prepare_seconds", time.monotonic() - began)
            told.setdefault("cpu", time.process_time())
            if one.done == UPDATES:
                raise KeyboardInterrupt

    told: dict[str, Any] = {"updates": UPDATES}
    try:
        charter.run(place / "charter.yaml", on_event=event, on_progress=progress)
        raise SystemExit("it ended before the updates that were asked for")
    except KeyboardInterrupt:
        pass
    own = memory("self")["VmHWM"]
    stages["pretrain.peak_memory_mb"] = own
    import polars as pl

    tables = (place / "runs" / "artefacts").glob("*/files/dropped.parquet")
    dropped = sum(pl.scan_parquet(one).select(pl.len()).collect().item() for one in tables)
    return {**told, "own_peak_mb": max(peak, own), "stages": stages, "dropped": float(dropped)}


def _tokenizer(place: Path) -> Any:
    from charter.models.base import load_tokenizer

    return load_tokenizer(next((place / "runs" / "artefacts").glob("*/files/model/tokenizer.json")).parent)


def pieces_arm(place: Path) -> dict[str, Any]:
    """The share of the corpus as Charter's pieces."""
    from charter.data.columns import Columns
    from charter.data.pieces import Frame, write_pieces
    from charter.data.reading import stream_source
    from charter.spec.data import Data

    tokenizer = _tokenizer(place)
    began = time.process_time()
    data = Data.model_validate({"source": "share.jsonl", "inputs": {"text": "text"}})
    chunks = (read.frame for read in stream_source(data, place))
    write_pieces(place / "pieces", chunks, Columns.of(data), tokenizer, Frame.of(tokenizer, LENGTH).pieces)
    return {"cpu": time.process_time() - began, "own_peak_mb": memory("self")["VmHWM"]}


def datasets_map_arm(place: Path) -> dict[str, Any]:
    """The share of the corpus as run_mlm.py's blocks: the documents one after the other, a rest left out."""
    import datasets

    datasets.disable_progress_bars()
    tokenizer = _tokenizer(place)
    began = time.process_time()
    rows = datasets.load_dataset(
        "json", data_files=str(place / "share.jsonl"), split="train", cache_dir=str(place / "cache")
    )
    tokens = rows.map(
        lambda batch: tokenizer(batch["text"], return_special_tokens_mask=True, verbose=False), batched=True, remove_columns=["text"]
    )  # fmt: skip

    def grouped(batch: Any) -> Any:
        whole = {name: [one for part in parts for one in part] for name, parts in batch.items()}
        total = len(whole["input_ids"]) // LENGTH * LENGTH
        return {
            name: [one[at : at + LENGTH] for at in range(0, total, LENGTH)] for name, one in whole.items()
        }

    tokens.map(grouped, batched=True)
    return {"cpu": time.process_time() - began, "own_peak_mb": memory("self")["VmHWM"]}


ARMS = {"charter": charter_arm, "pieces": pieces_arm, "datasets_map": datasets_map_arm}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--arm"]:
        print(json.dumps(ARMS[sys.argv[2]](Path(sys.argv[3]))))
    elif sys.argv[1:2] == ["--write"]:  # a corpus to look at
        shutil.rmtree(sys.argv[3], ignore_errors=True)
        Path(sys.argv[3]).mkdir(parents=True)
        print(write_corpus(Path(sys.argv[3]), int(sys.argv[2]) * 1_000_000))
    else:
        main(measure, __doc__ or "")
