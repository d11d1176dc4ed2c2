"""Preparation in pieces: what comes out does not depend on the pieces, and what lies aside has no name."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter import plugins
from charter.data import aside, table
from charter.data.aside import Numbers, Texts
from charter.data.columns import PLACE, ROW, SPLIT, UNIT, Columns
from charter.data.passes import prepare_divided, prepare_rows
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.reading import stream_source
from charter.data.rows import Rows, rechunked
from charter.data.similarity import grams, setjoin
from charter.data.similarity.alike import joined_texts
from charter.data.sources.delimited import _escaped, _restored
from charter.errors import DataError
from charter.pipeline.preparing import prepare_data
from charter.runs import files
from charter.runs.files import ROW_GROUP, write_table_of
from charter.runs.run import begin_run
from charter.runs.store import Store
from charter.spec.data import Data
from charter.spec.model import Charter
from charter.spec.use import Use

COLUMNS = Columns(inputs={"text": "text"}, target="label")
WORDS = "the room was very warm and crew kind we found it so quick again today caf\u00c3\u00a9 &amp; queue desk".split()  # noqa: SIM905


def charter(data: dict) -> Charter:
    return Charter.model_validate(
        {"name": "x", "data": data, "model": {"base": "x"}, "task": {"use": "classification"}}
    )


def records(count: int) -> list[dict]:
    """Records with what goes wrong in life: repeats, likes, damage, addresses, labels in other cases, empty texts."""
    rng = np.random.default_rng(count)
    made = []
    for number in range(count):
        text = " ".join(rng.choice(WORDS, size=12)) + f" {number * 7919}"
        if number % 7 == 3:
            text = made[number // 2]["text"]
        if number % 11 == 5:
            text = made[number - 1]["text"] + "!"
        if number % 13 == 0:
            text += " write to rosa@example.org"
        label = ("good", "Good", "bad")[int(rng.integers(3))]
        made.append({"text": text if number % 37 else "", "label": label, "who": f"p{number // 3}"})
    return made


def write(folder: Path, kind: str, rows: list[dict]) -> str:
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif kind == "csv":
        lines = ["text,label,who", *(f'"{row["text"]}",{row["label"]},{row["who"]}' for row in rows)]
        lines.insert(20, 'a "stray" quote,good')
        lines.insert(40, '"never closed,good,p1')
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        lines = [json.dumps(row) for row in rows]
        lines.insert(30, "{broken")
        lines.insert(50, '{"text": ["a", "list"], "label": 3, "who": "p2"}')
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path.name


PREPARE = [
    {"use": "repair_text"},
    {"use": "normalise_label"},
    {"use": "mask_pii"},
    {"use": "drop_exact_duplicates"},
    {"use": "drop_near_duplicates"},
]
MORE = {
    "usual": {"prepare": PREPARE},
    "sampled": {"prepare": PREPARE, "max_rows": 120, "subject": "who"},
    "masked last": {"prepare": PREPARE[3:] + PREPARE[:3], "groups": ["who"], "subject": "who"},
}


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_size_of_the_pieces_does_not_change_a_byte_of_the_artefact(tmp_path, monkeypatch, kind, more):
    source = write(tmp_path, kind, records(180))
    data = {
        "source": source,
        "inputs": {"text": "text"},
        "target": "label",
        "max_bad_rows": 0.2,
        **more,
    }
    digests = set()
    for number, (rows, memory) in enumerate([(10_000, 1 << 26), (3, 1 << 26), (64, 1), (179, 5_000)]):
        monkeypatch.setattr(table, "CHUNK_ROWS", rows)
        monkeypatch.setattr(aside, "MEMORY_BYTES", memory)
        with begin_run(Store(tmp_path / f"store{number}"), "x", "d") as run:
            artifact = prepare_data(run, charter(data), tmp_path).artifact
            digests.add(artifact.digest)
    assert len(digests) == 1
    kept = pl.read_parquet(artifact.path / "rows.parquet")
    dropped = pl.read_parquet(artifact.path / "dropped.parquet")
    rejected = (artifact.path / "rejects.jsonl").read_text(encoding="utf-8").count("\n")
    assert kept.height + dropped.height + rejected == 180 + (0 if kind == "parquet" else 2)
    assert kept.height > 50
    assert rejected > 0


def test_conll_in_pieces_reads_as_whole(tmp_path, monkeypatch):
    text = "".join(f"w{number}\tO\nParis\tB-LOC\n\n" for number in range(50)) + "lonely\n\n"
    (tmp_path / "x.conll").write_text(text, encoding="utf-8")
    data = {"source": "x.conll", "inputs": {"tokens": "text"}, "target": "tags", "max_bad_rows": 0.1}
    digests = set()
    for rows in (1, 7, 1000):
        monkeypatch.setattr(table, "CHUNK_ROWS", rows)
        with begin_run(Store(tmp_path / f"store{rows}"), "x", "d") as run:
            digests.add(prepare_data(run, charter({**data, "prepare": []}), tmp_path).artifact.digest)
    assert len(digests) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from charter.data import aside
from charter.pipeline import preparing
from charter.runs.run import begin_run
from charter.runs.store import Store
from charter.spec.model import Charter
aside.MEMORY_BYTES = 1
def killed(*_):
    opened = [os.readlink(one.path) for one in list(os.scandir("/proc/self/fd")) if os.path.lexists(one.path)]
    print(sum("(deleted)" in one for one in opened if "work" in one), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
preparing.divide = killed
charter = Charter.model_validate_json(sys.argv[2])
with begin_run(Store(Path(sys.argv[1])), "x", "d") as run:
    preparing.prepare_data(run, charter, Path(sys.argv[3]))
"""


def test_a_killed_preparation_leaves_nothing_of_what_lay_aside(tmp_path):
    source = write(tmp_path, "csv", records(200))
    data = {
        "source": source,
        "inputs": {"text": "text"},
        "target": "label",
        "prepare": [PREPARE[3], PREPARE[2]],
    }
    given = charter({**data, "max_bad_rows": 0.2}).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "store"), given, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert int(done.stdout) >= 2  # there was something aside
    left = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert left
    assert not any(b"rosa@" in path.read_bytes() or b"room was" in path.read_bytes() for path in left)


REFUSED = """
import resource, sys
from charter.data import aside
aside.MEMORY_BYTES = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
from charter.cli import run_command
sys.exit(run_command(["run", sys.argv[1]]))
"""


def test_a_machine_that_refuses_what_is_written_aside_ends_the_run_in_a_sentence(tmp_path, tiny_bert):
    source = write(tmp_path, "csv", records(200))
    path = tmp_path / "charter.yaml"
    data = {"source": source, "inputs": {"text": "text"}, "target": "label", "max_bad_rows": 0.2}
    model = {"base": str(tiny_bert), "max_length": 32}
    given = {"name": "x", "data": data, "model": model, "task": {"use": "classification"}}
    path.write_text(json.dumps(given), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", REFUSED, str(path)], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=40), st.sampled_from([1, 50, 1 << 20]), st.randoms())
def test_texts_that_lie_aside_come_back_as_they_were(texts, memory, rng):
    before, aside.MEMORY_BYTES = aside.MEMORY_BYTES, memory
    try:
        held = Texts()
        for start in range(0, len(texts), 7):
            held.add(texts[start : start + 7])
        numbers = np.asarray([rng.randrange(len(texts)) for _ in texts], dtype=np.int64)
        assert held.some(numbers) == [texts[number] for number in numbers]
    finally:
        aside.MEMORY_BYTES = before


def test_numbers_that_lie_aside_come_back_share_by_share(monkeypatch):
    monkeypatch.setattr(aside, "MEMORY_BYTES", 10)
    held = Numbers(None, 2)
    for number in range(6):
        held.add(number % 2, np.asarray([number, 2**63 + number], dtype=np.uint64))
    assert held.share(1).tolist() == [1, 2**63 + 1, 3, 2**63 + 3, 5, 2**63 + 5]


def test_a_join_in_many_shares_and_blocks_finds_the_same_pairs(monkeypatch):
    texts = list(dict.fromkeys(row["text"] for row in records(400)))
    whole = joined_texts(texts, 0.7)
    for name, value in (("SHARE_SIZE", 64), ("AT_ONCE", 32), ("KEPT_GRAMS", 0)):
        monkeypatch.setattr(setjoin, name, value)
    monkeypatch.setattr(grams, "BLOCK", 16)
    pieces = joined_texts(texts, 0.7)
    assert len(whole.pairs) > 20
    assert sorted(map(tuple, pieces.pairs.tolist())) == sorted(map(tuple, whole.pairs.tolist()))


@given(st.text(alphabet="ab\r\ue00001"))
def test_a_bare_carriage_return_and_its_stand_in_both_come_back(line):
    assert _restored(_escaped(line)) == line
    assert "\r" not in _escaped(line)


def test_a_table_written_in_pieces_is_the_same_file(tmp_path):
    frame = pl.DataFrame({"a": range(ROW_GROUP + 10), "b": [["x", None], []] * (ROW_GROUP // 2 + 5)})
    write_table_of(tmp_path / "one.parquet", [frame])
    write_table_of(tmp_path / "many.parquet", rechunked(frame.iter_slices(999), 1_000))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()
    assert pl.read_parquet(tmp_path / "one.parquet").equals(frame)


@pytest.mark.parametrize("piece", [1, 7, 400])
def test_a_group_of_a_table_is_bounded_in_bytes_whatever_the_pieces(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(files, "GROUP_BYTES", 1_000)
    frame = pl.DataFrame({"text": ["x" * (at % 300) if at != 77 else "y" * 5_000 for at in range(400)]})
    write_table_of(tmp_path / "one.parquet", [frame])
    write_table_of(tmp_path / "many.parquet", frame.iter_slices(piece))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()
    assert pl.read_parquet(tmp_path / "one.parquet").equals(frame)
    whole = pyarrow.parquet.ParquetFile(tmp_path / "one.parquet")
    sizes = [
        sum(map(len, whole.read_row_group(at)["text"].to_pylist())) for at in range(whole.num_row_groups)
    ]
    assert sorted(sizes)[-1] == 5_000 and sorted(sizes)[-2] <= 1_000 and len(sizes) < 100


def test_large_records_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "CHUNK_BYTES", 5_000)
    texts = ["z" * (900 * (at % 4)) + str(at) for at in range(50)]
    pl.DataFrame({"text": texts}).write_ndjson(tmp_path / "a.jsonl")
    pl.DataFrame({"text": texts}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    for source in ("a.jsonl", "a.parquet", "lines:a.txt"):
        data = Data.model_validate({"source": source, "inputs": {"text": "text"}})
        frames = [read.frame for read in stream_source(data, tmp_path)]
        assert pl.concat(frames)["text"].to_list() == texts
        assert len(frames) > 5
        assert max(one["text"].str.len_bytes().sum() for one in frames) < 5_000 + 2_800


def rows(count: int = 9) -> pl.DataFrame:
    return pl.DataFrame(
        {
            ROW: range(1, count + 1),
            PLACE: [f"x row {number}" for number in range(count)],
            "text": [f"text number {number}" for number in range(count)],
            "label": ["a", "b", "a"] * (count // 3),
        },
        schema_overrides={ROW: pl.Int64},
    )


def planted(monkeypatch, **made: Preparation) -> list[Use]:
    monkeypatch.setattr(plugins, "load", lambda _, name: lambda: made[name])
    monkeypatch.setattr(plugins, "resolve", lambda *_: {})
    return [Use(use=name) for name in made]


def drop_first(frame: pl.DataFrame, columns: Columns) -> Outcome:
    reason = pl.lit("first of what was given").alias("reason")
    return Outcome(frame[1:], frame[:1].select(ROW, reason), {"called": 1, "columns": frame.width})


def test_each_preparation_is_given_what_its_reach_says(monkeypatch):
    uses = planted(
        monkeypatch,
        chunked=Preparation(row_wise=False, apply=drop_first, reach="row"),
        narrow=Preparation(row_wise=False, apply=drop_first, reach="columns"),
        whole=Preparation(row_wise=False, apply=drop_first),
    )
    done = prepare_rows(rows().iter_slices(3), COLUMNS, uses)
    assert done.dropped["by"].to_list() == ["chunked"] * 3 + ["narrow", "whole"]
    assert done.rows.numbers.tolist() == [5, 6, 8, 9]
    assert dict(done.counts) == {
        "chunked": {"called": 3, "columns": 12},
        "narrow": {"called": 1, "columns": 2},
        "whole": {"called": 1, "columns": 4},
    }


def test_labels_change_before_what_comes_after_and_drop_nothing(monkeypatch):
    def louder(frame, columns):
        return Outcome(frame.with_columns(pl.col("label").str.to_uppercase()), nothing_dropped(), {})

    uses = planted(
        monkeypatch,
        drop=Preparation(row_wise=True, apply=drop_first),
        louder=Preparation(row_wise=False, apply=louder, reach="labels"),
    )
    done = prepare_rows(rows().iter_slices(3), COLUMNS, uses)
    assert done.rows.collect()["label"].to_list() == ["B", "A"] * 3
    bad = planted(monkeypatch, bad=Preparation(row_wise=False, apply=drop_first, reach="labels"))
    with pytest.raises(DataError, match="its reach must be 'columns'"):
        prepare_rows([rows()], COLUMNS, bad)


def twice(frame: pl.DataFrame, columns: Columns) -> Outcome:
    made = pl.concat([frame, frame[:2]]).sort(ROW, maintain_order=True)
    return Outcome(made, nothing_dropped(), {}, added={"copies": made.height - frame.height})


@pytest.mark.parametrize("reach", ["row", "columns", "rows"])
def test_after_the_split_only_the_rows_of_its_splits_are_given(monkeypatch, reach):
    divided = rows().with_columns(
        pl.Series(SPLIT, ["train", "test", "train"] * 3), pl.int_range(9).alias(UNIT)
    )
    uses = planted(
        monkeypatch, own=Preparation(row_wise=False, apply=drop_first, splits=("train",), reach=reach)
    )
    done = prepare_divided(Rows.of(divided.iter_slices(3)), COLUMNS, uses)
    gone = {1, 4, 7} if reach == "row" else {1}
    assert set(done.dropped[ROW]) == gone
    assert done.rows.collect().equals(divided.filter(~pl.col(ROW).is_in(gone)))


@pytest.mark.parametrize("reach", ["row", "columns", "rows"])
def test_made_rows_bring_their_texts_with_them(monkeypatch, reach):
    divided = rows().with_columns(pl.lit("train").alias(SPLIT), pl.int_range(9).alias(UNIT))
    uses = planted(monkeypatch, own=Preparation(row_wise=False, apply=twice, splits=("train",), reach=reach))
    done = prepare_divided(Rows.of(divided.iter_slices(2)), COLUMNS, uses)
    made = done.rows.collect()
    assert made[ROW].to_list()[:4] == [1, 1, 2, 2]
    assert made["text"].to_list()[:4] == ["text number 0"] * 2 + ["text number 1"] * 2
    assert done.added == (("own", {"copies": made.height - 9}),)


def test_a_time_is_read_as_the_beginning_of_its_file_says(tmp_path, monkeypatch):
    days = "".join(f"text {n} {n * n},{'ab'[n % 2]},2026-01-{n:02d}\n" for n in range(1, 29))
    (tmp_path / "a.csv").write_text(f"text,label,day\n{days}", encoding="utf-8")
    (tmp_path / "b.csv").write_text(
        f"text,label,day\n{days.replace('text', 'other').replace('2026-01-', '2026/02/')}", encoding="utf-8"
    )
    data = {"source": "*.csv", "inputs": {"text": "text"}, "target": "label", "split": {"time": "day"}}
    tests = []
    for size in (1, 5, 1000):
        monkeypatch.setattr(table, "CHUNK_ROWS", size)
        with begin_run(Store(tmp_path / f"store{size}"), "x", "d") as run:
            tests.append(prepare_data(run, charter(data), tmp_path).part("test")[ROW].to_list())
    assert tests[0] == tests[1] == tests[2]
    assert min(tests[0]) > 28


def test_a_column_that_was_added_can_be_had_without_any_other():
    rows = Rows.of(pl.DataFrame({ROW: [1, 2, 3], "text": ["a", "b", "c"]}))
    split = rows.with_column(SPLIT, pl.Series(["train", "test", "train"])).only(np.array([True, True, False]))
    assert split.collect([SPLIT]).to_dict(as_series=False) == {SPLIT: ["train", "test"]}
