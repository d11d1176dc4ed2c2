"""`charter init` on data of every shape: what it takes each column for, and a charter that `charter check` accepts."""

import json
import random
import sqlite3
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import xlsxwriter

from charter import spec
from charter.cli import run_command

GOOD = ["great", "lovely", "kind", "warm"]
BAD = ["awful", "rude", "cold", "dirty"]
WORDS = ["the", "room", "was", "very", "and", "crew", "today", "we", "found", "it", "so"]


def rows(n=240):
    rng = random.Random(5)
    return [
        {
            "id": number,
            "user_id": f"u{number // 3}",
            "review": " ".join(rng.choice(WORDS + (GOOD if number % 2 else BAD)) for _ in range(rng.randint(8, 20))),
            "stars": number % 5 + 1,
            "gender": rng.choice("fm"),
            "age": rng.randint(18, 90),
            "day": f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
            "happy": number % 2 == 1,
        }
        for number in range(n)
    ]  # fmt: skip


def write_csv(path: Path, records, encoding="utf-8", mark=","):
    quoted = [
        [f'"{value}"' if "," in str(value) else str(value) for value in one.values()] for one in records
    ]
    text = "\n".join([mark.join(records[0]), *map(mark.join, quoted)]) + "\n"
    path.write_bytes(text.encode(encoding))


def init(*arguments: str):
    """The charter that was written, after it was checked."""
    assert run_command(["init", *arguments, "--yes"]) == 0
    return spec.read(Path("charter.yaml"))


def test_every_column_is_said_with_what_it_is_taken_for_and_why(here, capsys):
    records = rows()
    records[3]["review"] += " mail ann@example.org"
    records[4]["review"] = records[5]["review"]
    write_csv(here / "reviews.csv", records)
    charter = init("reviews.csv")
    out = capsys.readouterr().out
    data = charter.data
    assert (charter.name, data.source, dict(data.inputs)) == ("reviews", "reviews.csv", {"review": "text"})
    assert (data.target, data.groups, data.subject) == ("stars", ("gender",), "user_id")
    assert "80 persons in 240 rows" in out
    assert "5 ordered ratings" in out
    assert charter.task.use == "ordinal"
    assert "age (" in out, "a group of many values is named, not taken"
    assert "1 EMAIL" in out
    assert "ann@" not in out + Path("charter.yaml").read_text(encoding="utf-8")
    assert "split: {time: ...}" in out
    limits = {"quadratic_weighted_kappa >= 0.5", "quadratic_weighted_kappa[gender=*] >= 0.4"}
    assert {str(one) for one in charter.limits} >= limits
    assert "mask_pii" in [use.use for use in data.prepare]


def test_what_is_said_on_the_command_line_wins(here):
    write_csv(here / "x.csv", rows())
    charter = init(
        "x.csv", "--target", "happy", "--group", "age", "--group", "gender", "--subject", "-", "--name", "my"
    )
    assert (charter.name, charter.data.target, charter.data.groups) == ("my", "happy", ("age", "gender"))
    assert charter.data.subject is None
    assert run_command(["init", "x.csv", "--yes", "--force", "--target", "hapy"]) == 2
    assert run_command(["init", "x.csv", "--yes"]) == 2, "an existing charter is not written over"
    assert init("x.csv", "--force", "--group", "-").data.groups == ()


def test_questions_are_asked_until_their_answers_fit(here, monkeypatch, capsys):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    write_csv(here / "x.csv", rows())
    answers = ["revew", "", "happy", "", "gender, age", "-"]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join(answers) + "\n"))
    assert run_command(["init", "x.csv"]) == 0
    charter = spec.read(Path("charter.yaml"))
    assert (charter.data.target, charter.data.groups, charter.data.subject) == (
        "happy",
        ("gender", "age"),
        None,
    )
    assert "Did you mean 'review'?" in capsys.readouterr().out


ZH = [
    {"评论": f"房间{'很好' if number % 2 else '太差'}，服务{'周到' if number % 3 else '一般'}，第{number}次，电话{13812345000 + number}",
     "情感": "正面" if number % 2 else "负面", "城市": ["北京", "上海", "广州"][number % 3], "姓名": f"张{number // 2}"}
    for number in range(200)
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16", "utf-8-sig"])
def test_chinese_files_are_read_in_their_encoding_and_reported_in_chinese(here, encoding, capsys):
    write_csv(here / "评论.csv", ZH, encoding)
    charter = init("评论.csv")
    out = capsys.readouterr().out
    data = charter.data
    assert (charter.name, dict(data.inputs), data.target) == ("评论", {"评论": "text"}, "情感")
    assert (data.groups, data.subject, charter.report.language) == (("城市",), "姓名", "zh")
    assert data.encoding == encoding.removesuffix("-sig")
    assert "200 CN_MOBILE" in out
    assert "hardly reads this language" in out


def test_latin_1_and_big5_are_told_apart(here):
    from charter.data.look import guess_encoding

    line = "Das Café in München ist schön und größer, naïve Gäste\n" * 40
    assert guess_encoding(line.encode("latin-1")) == "cp1252"
    assert guess_encoding(("房間很好，服務不錯，就是離市區太遠\n" * 40).encode("big5")) == "big5"
    assert guess_encoding(line.encode() * 50 + b"one bad \xff line\n") == "utf-8"


NER = [{"tokens": ["Ann", "of", "Paris", str(n)], "tags": ["B-PER", "O", "B-LOC", "O"]} for n in range(60)]
SPANS = [
    {"text": f"Ann of Paris {n}", "entities": [{"start": 0, "end": 3, "label": "PER"}] if n % 3 else []}
    for n in range(60)
]


def zst(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def shapes(folder: Path):
    """Data sets of every supported shape; each is (arguments, source, text, target, task)."""
    records = [{"text": one["review"], "label": "good" if one["happy"] else "bad"} for one in rows()]
    write_csv(folder / "a.csv", records)
    write_csv(folder / "a.tsv", records, mark="\t")
    (folder / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    pl.DataFrame(records).write_parquet(folder / "a.parquet")
    write_csv(folder / "a.txt", records)
    (folder / "n.jsonl").write_text("".join(json.dumps(one) + "\n" for one in NER), encoding="utf-8")
    (folder / "s.jsonl").write_text("".join(json.dumps(one) + "\n" for one in SPANS), encoding="utf-8")
    pl.DataFrame(SPANS).write_parquet(folder / "s.parquet")
    sentences = [
        "\n".join(f"{word} {tag}" for word, tag in zip(one["tokens"], one["tags"], strict=True))
        for one in NER
    ]
    (folder / "n.conll").write_text("\n\n".join(sentences), encoding="utf-8")
    for place in ("parts", "many", "hub/data", "kaggle"):
        (folder / place).mkdir(parents=True)
    for part in ("train", "dev", "test"):
        write_csv(folder / "parts" / f"{part}.csv", records)
        pl.DataFrame(records).write_parquet(folder / "hub" / "data" / f"{part}-00000-of-00001.parquet")
    for part in range(3):
        write_csv(folder / "many" / f"{part}.csv", records[part * 80 : part * 80 + 80])
    write_csv(folder / "kaggle" / "train.csv", records)
    write_csv(folder / "kaggle" / "test.csv", [{"text": one["text"]} for one in records])
    (folder / "a.csv.zst").write_bytes(zst((folder / "a.csv").read_bytes()))
    with xlsxwriter.Workbook(folder / "a.xlsx") as book:
        sheet = book.add_worksheet("Reviews")
        for row, cells in enumerate([["text", "label"], *(one.values() for one in records)]):
            sheet.write_row(row, 0, cells)
    with sqlite3.connect(folder / "a.db") as shop:
        shop.execute("create table reviews (id integer primary key, text text, label text)")
        shop.executemany("insert into reviews (text, label) values (:text, :label)", records)
    for place in ("docs", "imdb/train", "imdb/test"):
        for number, one in enumerate(records):
            path = folder / place / one["label"] / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one["text"], encoding="utf-8")
    plain, ner = "classification", "token_classification"
    imdb = {"train": "imdb/train/", "test": "imdb/test/"}
    parts = {"train": "parts/train.csv", "validation": "parts/dev.csv", "test": "parts/test.csv"}
    return [
        *((([name], name, "text", "label", plain)) for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet")),
        (["csv:a.txt"], "csv:a.txt", "text", "label", plain),
        (["a.csv.zst"], "a.csv.zst", "text", "label", plain),
        (["a.xlsx"], "a.xlsx", "text", "label", plain),
        (["sql:sqlite:///a.db#reviews"], "sql:sqlite:///a.db#reviews", "text", "label", plain),
        (["docs"], "docs/", "text", "label", plain),
        (["docs/*/*.txt"], "docs/*/*.txt", "text", "label", plain),
        (["imdb"], imdb, "text", "label", plain),
        (["imdb/train", "--test", "imdb/test/"], {"train": "imdb/train/", "test": "imdb/test/"}, "text", "label", plain),
        (["many/*.csv"], "many/*.csv", "text", "label", plain),
        (["many"], "many/*.csv", "text", "label", plain),
        (["parts"], parts, "text", "label", plain),
        (["parts/train.csv", "--validation", "parts/dev.csv", "--test", "parts/test.csv"], parts, "text", "label", plain),
        (["kaggle"], "kaggle/train.csv", "text", "label", plain),
        (["hub"], "hf:hub", "text", "label", plain),
        (["hf:hub"], "hf:hub", "text", "label", plain),
        (["n.jsonl"], "n.jsonl", "tokens", "tags", ner),
        (["s.jsonl"], "s.jsonl", "text", "entities", ner),
        (["s.parquet"], "s.parquet", "text", "entities", ner),
        (["n.conll"], "n.conll", "tokens", "tags", ner),
    ]  # fmt: skip


def test_every_supported_shape_gives_a_charter_that_checks(here, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", here / "cache")
    for arguments, source, text, target, task in shapes(here):
        charter = init(*arguments, "--force")
        found = (charter.data.source, dict(charter.data.inputs), charter.data.target, charter.task.use)
        assert found == (source, {text: "text"}, target, task), arguments
        if isinstance(source, dict) or source == "hf:hub":
            assert (charter.data.split.calibration, charter.data.split.test) == (0.05, None)


def test_a_second_language_is_said_with_what_would_leave_it_out(here):
    german = "das Zimmer war schmutzig und niemand am Empfang wollte uns heute helfen"
    records = rows()
    for number in range(0, len(records), 10):
        records[number]["review"] = f"{german} Nummer {number}"
    write_csv(here / "a.csv", records)
    init("a.csv")
    said = Path("charter.yaml").read_text(encoding="utf-8")
    assert "de 10%; to leave out all but en: {use: keep_languages, languages: [en]}" in said
    write_csv(here / "a.csv", rows())
    Path("charter.yaml").unlink()
    init("a.csv")
    assert "keep_languages" not in Path("charter.yaml").read_text(encoding="utf-8")


def test_the_sample_and_a_charter_in_another_folder(here, capsys):
    (here / "sub").mkdir()
    write_csv(here / "a.csv", rows())
    assert run_command(["init", "a.csv", "--yes", "--out", "sub/charter.yaml"]) == 0
    assert spec.read(here / "sub" / "charter.yaml").data.source == "../a.csv"
    charter = init("sample:tweets")
    assert (charter.data.source, charter.data.groups, charter.data.licence) == (
        "sample:tweets",
        ("topic",),
        "MIT",
    )
    assert "38,158 rows read, 20,000 of them looked at" in capsys.readouterr().out


def test_a_split_column_is_found_whatever_its_parts_are_called(here):
    records = [
        {**one, "part": "train" if n % 5 else "dev" if n % 2 else "test"} for n, one in enumerate(rows())
    ]
    write_csv(here / "x.csv", records)
    assert init("x.csv").data.split.column == "part"
    from charter.data.columns import SPLIT_NAMES
    from charter.data.reading import read_source

    read = read_source(spec.read(here / "charter.yaml").data, here)
    assert read.rejects.height == 0
    assert set(read.frame["part"]) == {"train", "validation", "test"} <= set(SPLIT_NAMES.values())


def test_a_training_file_hints_at_the_parts_beside_it(here, capsys):
    shapes(here)
    init("parts/train.csv")
    assert "--validation parts/dev.csv --test parts/test.csv" in capsys.readouterr().out
    assert spec.read(here / "charter.yaml").name == "parts"


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", b""), ("x.csv", b"a,b\n"), ("x.csv", b"n\n1\n2\n"), ("x.jsonl", b"[1]\n"), ("x.parquet", b"PAR1"),
     ("x.txt", b"a"), ("x.csv", b",,\n1,2,3\n"), ("x.csv", b"_row,_split\n1,2\n"), ("x.conll", b"\n"), ("x.csv.gz", b"no")],
)  # fmt: skip
def test_what_can_not_be_looked_at_is_said_without_a_traceback(here, name, content, capsys):
    (here / name).write_bytes(content)
    assert run_command(["init", name, "--yes"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (here / "charter.yaml").exists()


def test_an_empty_file_is_said_to_be_empty(here, capsys):
    (here / "x.jsonl").write_bytes(b"")
    assert run_command(["init", "x.jsonl", "--yes"]) == 2
    assert "x.jsonl: the file is empty" in capsys.readouterr().err


def test_columns_that_a_charter_can_not_name_are_passed_over(here):
    records = [
        {"": n, "__index__": n, "text": one["review"], "label": n % 2, "text2, too": "b", "*": 1, "^a$": 2}
        for n, one in enumerate(rows())
    ]
    header = ',__index__,text,label,"text2, too",*,^a$'
    body = "\n".join(",".join(map(str, one.values())) for one in records)
    (here / "x.csv").write_text(f"{header}\n{body}\n", encoding="utf-8")
    charter = init("x.csv")
    assert (dict(charter.data.inputs), charter.data.target) == ({"text": "text"}, "label")


def test_init_loads_no_torch(here):
    import subprocess
    import sys

    write_csv(here / "x.csv", rows())
    code = (
        "import sys; from charter.cli import run_command; assert run_command(['init', 'x.csv', '--yes']) == 0;"
        "loaded = {'torch', 'transformers', 'datasets', 'sklearn'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_what_a_charter_in_another_folder_names_is_written_from_there(here):
    (here / "sub").mkdir()
    shapes(here)
    for place, source in (
        ("docs", "../docs/"),
        ("sql:sqlite:///a.db#reviews", "sql:sqlite:///../a.db#reviews"),
        ("a.xlsx", "../a.xlsx"),
    ):
        assert run_command(["init", place, "--yes", "--force", "--out", "sub/charter.yaml"]) == 0
        assert spec.read(Path("sub/charter.yaml")).data.source == source


def test_of_several_sheets_the_first_is_taken_and_the_others_are_said(here, capsys):
    with xlsxwriter.Workbook(here / "x.xlsx") as book:
        for name in ("Reviews", "Old"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["text", "label"])
            for row in range(1, 41):
                sheet.write_row(row, 0, [f"text number {row} of many", row % 2])
    assert init("x.xlsx").data.source == "x.xlsx#Reviews"
    assert "x.xlsx#Old" in capsys.readouterr().out


def test_a_table_in_a_txt_file_is_not_taken_for_a_document(here, capsys):
    write_csv(here / "x.txt", rows())
    assert run_command(["init", "x.txt", "--yes"]) == 2
    assert "csv:x.txt" in capsys.readouterr().err


@pytest.mark.parametrize(("task", "target"), [("sentence_embedding", None), ("sentence_similarity", "score")])
def test_pairs_for_vectors_make_a_charter_that_check_accepts(here, capsys, task, target):
    pairs = [
        {"one": f"the room {n} was warm", "other": f"it was very warm {n}", "score": n % 7 / 2}
        for n in range(200)
    ]
    write_csv(Path("pairs.csv"), pairs)
    said = ["init", "pairs.csv", "--yes", "--task", task, "--text", "one", "--text", "other"]
    assert run_command([*said, *(["--target", target] if target else [])]) == 0, capsys.readouterr().err
    assert run_command(["check"]) == 0, capsys.readouterr().err
    found = spec.read(Path("charter.yaml"))
    assert (found.data.target, found.task.use) == (target, task)


def test_a_task_that_is_none_is_refused_with_the_nearest_name(here, capsys):
    write_csv(Path("rows.csv"), rows())
    assert run_command(["init", "rows.csv", "--yes", "--task", "multiple_choise"]) == 2
    assert "Did you mean 'multiple_choice'?" in capsys.readouterr().err
    assert not Path("charter.yaml").exists()


def test_few_rows_per_class_are_said_with_how_to_learn_from_them(here):
    write_csv(here / "x.csv", rows(100))
    init("x.csv", "--target", "happy", "--group", "-", "--subject", "-")
    said = Path("charter.yaml").read_text(encoding="utf-8")
    assert "35 training rows per class are few" in said
    assert "descriptions: {CLASS:" in said
    init("x.csv", "--target", "stars", "--group", "-", "--subject", "-", "--force")
    assert "are few" not in Path("charter.yaml").read_text(encoding="utf-8"), (
        "an ordinal task has no such head"
    )


def test_how_a_privacy_budget_is_asked_for_is_said_and_right_as_it_stands(here):
    write_csv(here / "reviews.csv", rows())
    assert init("reviews.csv").privacy is None
    text = (here / "charter.yaml").read_text()
    (section,) = [line for line in text.splitlines() if line.startswith("# privacy: {")]
    assert section == "# privacy: {epsilon: 8, delta: 1.0e-03}"
    (here / "charter.yaml").write_text(text.replace(section, section[2:]))
    assert spec.read(here / "charter.yaml").privacy.epsilon == 8
    (here / "charter.yaml").write_text(
        text.replace(section, section[2:]).replace("\ndata:", "\ndata:\n  privacy_budget: {epsilon: 10} #", 1)
    )
    assert spec.read(here / "charter.yaml").data.privacy_budget.epsilon == 10


def test_no_privacy_budget_is_spoken_of_where_the_charter_can_not_have_one(here):
    write_csv(here / "reviews.csv", rows())
    init("reviews.csv", "--target", "age")  # a number, whose scale would be read from people's rows
    assert "privacy: {" not in (here / "charter.yaml").read_text()
