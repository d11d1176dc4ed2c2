"""Who a row is about is in nothing that is written; that rows are about one person still counts."""

import random

import pytest

from charter.pipeline import run

NAMES = [f"Zebedee Quux{number}" for number in range(120)]


@pytest.fixture(scope="module")
def past(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("subjects")
    rng = random.Random(3)
    lines = ["text,label,who"]
    for number in range(360):
        words = [rng.choice(["room", "crew", "very", "today", "again", "seat"]) for _ in range(12)]
        words[3] = "great" if number % 2 else "awful"
        lines.append(f"{' '.join(words)},{'good' if number % 2 else 'bad'},{NAMES[number % 120]}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "charter.yaml").write_text(
        f"""name: a
data: {{source: data.csv, inputs: {{text: text}}, target: label, subject: who, prepare: [], split: {{similarity: 1, test: 0.3}}}}
model: {{base: "{tiny_bert}", max_length: 32, adapt: {{use: head}}}}
task: {{use: classification}}
training: {{epochs: 1}}
audits: [{{use: performance, resamples: 100}}]
limits: [macro_f1 >= 0]
""",
        encoding="utf-8",
    )
    return folder, run(folder / "charter.yaml")


def test_no_file_of_the_store_or_the_bundle_names_a_subject(past):
    import polars as pl

    folder, result = past
    assert result.bundle is not None
    files = [path for part in ("runs", "release") for path in (folder / part).rglob("*") if path.is_file()]
    assert any(path.name == "rows.parquet" for path in files)
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = str(pl.read_parquet(path).to_dicts()).encode()
        assert b"Quux" not in content, path


def test_intervals_still_count_persons(past):
    _, result = past
    one = next(f for f in result.record.findings if f.metric == "macro_f1" and f.area == "performance")
    assert one.n > 100
    assert "over 36 units of one person's" in one.method
