"""Judged runs that the tests of the release room look at: small, real, made once."""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from charter.pipeline import Result, run

CLASSES = """\
name: reviews
purpose: {{intended_use: Answer unhappy guests first., affected: guests, not_for: [credit decisions], risk: {risk}}}
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  groups: [city]
  max_bad_rows: 0.1
  licence: CC-BY-4.0
  prepare: [{{use: repair_text}}, {{use: normalise_label}}, {{use: drop_exact_duplicates}}, {{use: drop_near_duplicates}}]
  split: {{test: 0.4, validation: 0.1, calibration: 0.1}}
model: {{base: "{base}", max_length: 32}}
task: {{use: classification}}
training: {{epochs: 2, batch_size: 16, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}, {{use: calibration, resamples: 100}}]
limits:
  - accuracy >= 0.1
  - {{limit: macro_f1 >= 0.999, judge: point}}
  - recall[class=good] >= 0.999
  - accuracy[city=*] >= 0.1
  - accuracy[city=Rome] >= 0.1
  - expected_calibration_error <= 0.9
{report}
"""
ENTITIES = """\
name: places
data:
  source: {{train: "conll:train.conll", test: "conll:test.conll"}}
  inputs: {{tokens: text}}
  target: tags
  prepare: []
  split: {{validation: 0.2}}
model: {{base: "{base}", max_length: 32}}
task: {{use: token_classification}}
training: {{epochs: 1, batch_size: 16, learning_rate: 5.0e-3}}
audits: [{{use: performance, resamples: 100}}, {{use: calibration, resamples: 100}}]
limits: ["micro_f1 >= 0.999"]
report: {{examples: masked}}
"""
GOOD, BAD = ["great", "lovely", "kind"], ["awful", "rude", "cold"]
FILLER = ["room", "crew", "flight", "meal", "seat", "the", "was", "very", "today", "again"]


@dataclass(frozen=True)
class Judged:
    """A run that was judged, and the folder of its charter."""

    folder: Path
    result: Result


def secrets_of(number: int) -> str:
    """What must never be read in a report: an address, a handle, a link and a phone number."""
    return f"guest{number}@example.org @guest{number} https://example.org/{number} 212-555-{number:04d}"


def write_reviews(path: Path) -> None:
    rng = random.Random(11)
    lines = ["text,label,city"]
    for number in range(400):
        words = [rng.choice(FILLER) for _ in range(6)]
        words[rng.randrange(6)] = rng.choice(rng.choice([GOOD, GOOD, GOOD, BAD]) if number % 2 else BAD)
        city = rng.choice(["Paris", "Paris", "Paris", "北京", "Oslo"]) if number % 9 else ""
        lines.append(f"{' '.join(words)} {secrets_of(number)},{'good' if number % 2 else 'bad'},{city}")
    lines += [lines[1], ",good,Oslo", "a room,,Oslo"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def judge(folder: Path, base: Path, *, report: str = "", risk: str = "high", draft: bool = False) -> Judged:
    write_reviews(folder / "reviews.csv")
    charter = folder / "charter.yaml"
    charter.write_text(CLASSES.format(base=base, report=report, risk=risk), encoding="utf-8")
    return Judged(folder, run(charter, draft=draft))


@pytest.fixture(scope="session")
def silent_run(tiny_bert, tmp_path_factory):
    """A refused run, packed as a draft, whose charter asks for no examples."""
    return judge(tmp_path_factory.mktemp("silent"), tiny_bert, draft=True)


@pytest.fixture(scope="session")
def telling_run(tiny_bert, tmp_path_factory):
    """The same with `report: {examples: masked}`, in Chinese."""
    report = "report: {examples: masked, language: zh}"
    return judge(tmp_path_factory.mktemp("telling"), tiny_bert, report=report, draft=True)


@pytest.fixture(scope="session")
def entity_run(tiny_bert, tmp_path_factory):
    """A run on entities that asks for examples."""
    folder = tmp_path_factory.mktemp("entities")
    rng = random.Random(5)
    for name, count in (("train", 200), ("test", 60)):
        sentences = []
        for number in range(count):
            words = [(rng.choice(FILLER), "O") for _ in range(6)]
            words[rng.randrange(3)] = (rng.choice(["hotel", "desk"]), rng.choice(["B-PLACE", "B-PLACE", "O"]))
            words[4] = (f"guest{number}@example.org", "O")
            sentences.append("\n".join(f"{word}\t{tag}" for word, tag in words))
        (folder / f"{name}.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    charter = folder / "charter.yaml"
    charter.write_text(ENTITIES.format(base=tiny_bert), encoding="utf-8")
    return Judged(folder, run(charter))
