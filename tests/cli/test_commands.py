"""The commands as a user runs them: exit codes, messages without traceback, files that come out; and the released bundle."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

import charter
from charter.cli import run_command
from charter.release.verification import verify

HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def released(tiny_bert, tmp_path_factory):
    """A folder where `init`, `run` with a signing key have been done."""
    import random

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("cli")
    rng = random.Random(11)
    good, bad = ["great", "lovely", "kind"], ["awful", "rude", "cold"]
    filler = ["room", "crew", "flight", "meal", "seat", "the", "was", "very", "today", "again"]
    lines = ["text,label,city"]
    for number in range(900):
        words = [rng.choice(filler) for _ in range(9)]
        words[rng.randrange(9)] = rng.choice(good if number % 2 else bad)
        lines.append(f"{' '.join(words)},{'good' if number % 2 else 'bad'},{rng.choice(['Paris', '北京'])}")
    (folder / "reviews.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    keys = ec.generate_private_key(ec.SECP256R1())
    (folder / "private.pem").write_bytes(
        keys.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    for name, key in (("public", keys), ("other", ec.generate_private_key(ec.SECP256R1()))):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        (folder / f"{name}.pem").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    os.chdir(folder)
    assert run_command(["init", "reviews.csv", "--yes", "--base", str(tiny_bert), "--group", "city"]) == 0
    text = (folder / "charter.yaml").read_text(encoding="utf-8")
    text = (
        text.replace("0.7", "0.3")
        .replace("<= 0.1", "<= 0.9")
        .replace("learning_rate: 5.0e-05", "learning_rate: 5.0e-3")
    )
    text = (
        text.replace("max_length: 128", "max_length: 32").replace("epochs: 3", "epochs: 6")
        + "release: {sign: private.pem}\n"
    )
    text = text.replace("    - {use: drop_near_duplicates}\n", "")
    (folder / "charter.yaml").write_text(text, encoding="utf-8")
    assert run_command(["check"]) == 0
    assert run_command(["run"]) == 0
    return folder


@pytest.fixture
def inside(released, monkeypatch):
    monkeypatch.chdir(released)
    return released


def test_a_bundle_answers_by_its_folder_too(inside):
    texts = ["the crew was lovely", "the room was awful"]
    opened = charter.open_answerer(charter.open_bundle("release/reviews")).answer_texts(texts)
    assert charter.open_answerer("release/reviews").answer_texts(texts).equals(opened)


def test_texts_and_files_are_answered_and_refused_rows_are_counted(inside, capsys):
    assert run_command(["predict", "release/reviews", "--text", "the crew was lovely", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["prediction"] in ("good", "bad")
    (inside / "new.csv").write_text(
        "text,city\nthe room was awful,Paris\n,Oslo\nmail me@x.org lovely,Oslo\n", encoding="utf-8"
    )
    assert (
        run_command(
            ["predict", "release/reviews", "--file", "new.csv", "--out", "out.parquet", "--keep", "city"]
        )
        == 0
    )
    out = pl.read_parquet(inside / "out.parquet")
    assert out["row"].to_list() == [1, 2, 3]
    assert out["prediction"].null_count() == 1
    assert out["not_answered"][1] == "no text in column 'text'"


def test_new_rows_come_from_every_kind_of_file(inside):
    documents = inside / "docs" / "a"
    documents.mkdir(parents=True)
    (documents / "1.txt").write_text("the room was awful", encoding="utf-8")
    with xlsxwriter.Workbook(inside / "new.xlsx") as book:
        book.add_worksheet("New").write_column("A1", ["text", "the crew was lovely"])
    files = ["--file", "docs", "--file", "new.xlsx", "--file", "docs/a/1.txt"]
    assert run_command(["predict", "release/reviews", *files, "--out", "kinds.parquet"]) == 0
    assert pl.read_parquet(inside / "kinds.parquet").select("row", "place").rows() == [
        (1, "a/1.txt"),
        (2, "new.xlsx sheet 'New' row 2"),
        (3, "1.txt"),
    ]


def test_plain_transformers_gives_the_judged_probabilities(inside, capsys):
    from transformers import pipeline

    run_command(["predict", "release/reviews", "--text", "the crew was lovely", "--json"])
    ours = json.loads(capsys.readouterr().out)
    plain = pipeline("text-classification", model=str(inside / "release" / "reviews"))("the crew was lovely")[
        0
    ]
    assert plain["label"] == ours["prediction"]
    assert plain["score"] == pytest.approx(ours["probability"], abs=1e-5)


def test_unsigned_unknown_and_valid_signatures_are_told_apart(inside):
    bundle = inside / "release" / "reviews"
    assert verify(bundle, None).signature == "unknown"
    assert verify(bundle, inside / "public.pem").signature == "valid"
    assert run_command(["verify", str(bundle), "--key", "public.pem"]) == 0
    assert run_command(["verify", str(bundle), "--key", "other.pem"]) == 4


def test_any_changed_byte_is_found(inside, tmp_path):
    names = [
        path.relative_to(inside / "release" / "reviews")
        for path in (inside / "release" / "reviews").rglob("*")
        if path.is_file()
    ]
    for name in names:
        copy = tmp_path / "copy"
        shutil.copytree(inside / "release" / "reviews", copy)
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(bytes(content))
        try:
            fine = verify(copy, inside / "public.pem").ok
        except Exception as error:
            assert type(error).__name__ == "BundleError", name
            fine = False
        assert not fine, name
        shutil.rmtree(copy)


def test_a_second_run_reuses_everything_and_reports_are_written_in_both_languages(inside, capsys):
    assert run_command(["run"]) == 0
    assert capsys.readouterr().err.count("reused") >= 6
    assert run_command(["report", "--lang", "zh"]) == 0
    assert "report.zh.html" in capsys.readouterr().out.replace("\n", "")
    assert run_command(["report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "released"
    assert run_command(["runs"]) == 0
    assert run_command(["gc", "--dry-run"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["check", "none.yaml"], 2), (["predict", ".", "--text", "a"], 4), (["verify", "."], 4), (["run", "none.yaml"], 2),
     (["report", "--store", "none"], 2), (["predict", "release/reviews"], 2), (["init", "none.csv", "--out", "x.yaml"], 2),
     (["nothing"], 2)],
)  # fmt: skip
def test_mistakes_have_an_exit_code_and_no_traceback(inside, arguments, code, capsys):
    assert run_command(arguments) == code
    assert "Traceback" not in capsys.readouterr().err


def test_help_is_one_word_away():
    out = subprocess.run(
        [sys.executable, "-m", "charter", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("init", "check", "schema", "run", "report", "compare", "predict", "verify", "runs", "gc"):
        assert command in out.stdout


def test_every_command_and_plug_in_is_in_the_docs():
    from charter import plugins

    cli = (HERE / "docs" / "cli.md").read_text(encoding="utf-8")
    assert all(
        f"charter {name}" in cli
        for name in ("init", "check", "schema", "run", "report", "compare", "predict", "verify", "runs", "gc")
    )
    reference = (HERE / "docs" / "charter.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in reference for kind in plugins.KINDS for name in plugins.BUILT_IN[kind])
