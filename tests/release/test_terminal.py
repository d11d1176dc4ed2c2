"""The terminal: the verdict at once, 80 columns, the charter's language, colours and bars only on a real terminal."""

import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from charter.cli.showing import show_summary
from charter.runs.findings import Finding
from charter.spec.pretraining import Pretraining

SUMMARY = """
import sys
from pathlib import Path
from charter.cli.showing import show_summary
from charter.release.record import read_record
show_summary(read_record(Path(sys.argv[1])), report=Path("r.html"), bundle=None, language=sys.argv[2] or None)
"""
PROGRESS = """
import time
from charter.cli.showing import RunView
from charter.pipeline.progress import Progress
from charter.runs.run import Event
with RunView("zh") as view:
    view.event(Event("started", "prepare"))
    time.sleep(0.3)
    view.event(Event("made", "prepare", seconds=0.3))
    view.event(Event("started", "train"))
    time.sleep(0.3)
    view.progress(Progress("train", 12, 74, "loss [0.5]"))
    time.sleep(0.3)
    view.event(Event("made", "train", seconds=0.3))
"""


def run_in_terminal(code, *arguments, columns=80):
    """What a program writes to a terminal of its own, 80 columns wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        close_fds=True,
    )
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    return process.wait(), b"".join(pieces).decode("utf-8", errors="replace")


def run_piped(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_summary_fits_80_columns_with_the_verdict_first(silent_run, language):
    code, said = run_in_terminal(SUMMARY, str(silent_run.result.folder / "record.json"), language)
    assert code == 0
    import re

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in said.splitlines()]
    assert max(cell_len(line) for line in lines) <= 80
    first = next(line for line in lines if line)
    assert ("refused draft" if language == "en" else "被拒绝的草稿") in first


def test_colours_are_for_terminals_only(silent_run):
    record = str(silent_run.result.folder / "record.json")
    assert "\x1b[" in run_in_terminal(SUMMARY, record, "en")[1]
    assert "\x1b" not in run_piped(SUMMARY, record, "en").stdout


def test_the_summary_follows_the_charters_language_unless_told_otherwise(silent_run, telling_run):
    records = [str(one.result.folder / "record.json") for one in (silent_run, telling_run)]
    assert "Scores on the test split" in run_piped(SUMMARY, records[0], "").stdout
    assert "测试集得分" in run_piped(SUMMARY, records[1], "").stdout
    assert "Scores on the test split" in run_piped(SUMMARY, records[1], "en").stdout


def test_bars_work_on_a_terminal_with_and_without_a_known_total():
    code, said = run_in_terminal(PROGRESS)
    assert code == 0, said
    assert "Traceback" not in said
    assert "12/74" in said
    assert "loss [0.5]" in said
    assert "训练" in said


def test_without_a_terminal_each_stage_is_a_line():
    said = run_piped(PROGRESS)
    assert said.stdout == ""
    assert [line.split()[0] for line in said.stderr.splitlines()] == ["…", "✓", "…", "✓"]


def test_pre_training_is_told_in_a_few_lines(silent_run, capsys):
    told = {
        "tokens": 1200.0,
        "tokens_per_second": 300.0,
        "perplexity": 12.5,
        "bits_per_byte": 2.5,
        "token_accuracy": 0.4,
        "characters_per_token": 3.5,
        "unknown_tokens": 0.01,
    }
    found = [Finding("pretraining", name, value) for name, value in told.items()]
    cheap = [
        Finding("pretraining", name, value, slice={"baseline": "unigram"}, low=0.45, high=0.6)
        for name, value in {"perplexity": 25.0, "perplexity_over_baseline": 0.5}.items()
    ]
    before = Finding("pretraining", "perplexity", 20.0, slice={"base": "before"})
    record = silent_run.result.record
    asked = Pretraining.model_validate({"source": "texts.jsonl", "epochs": 3})
    charter = record.charter.model_copy(update={"pretraining": asked})
    record = replace(record, charter=charter, findings=(*record.findings, *found, *cheap, before))
    show_summary(record, report=Path("report.html"), bundle=None)
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "masked language modelling",
        "epochs: 3",
        "1,200 300",
        "12.500",
        "20.000",
        "25.000",
        "0.500",
        "3.50",
        "1.0 %",
    ):
        assert part in said, part
    assert "0.400" not in said.split("Pre-training Objective")[1]  # the page tells all scores
