"""What every test may use: a tiny real BERT made at random, and small data sets on disk."""

import os
import random
from contextlib import contextmanager
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

GOOD = ["great", "lovely", "kind", "warm", "clean", "quick"]
BAD = ["awful", "rude", "cold", "dirty", "slow", "broken"]
THINGS = ["room", "crew", "flight", "meal", "desk", "seat", "phone", "queue", "hotel", "staff"]
FILLER = [
    "the",
    "was",
    "very",
    "and",
    "today",
    "again",
    "we",
    "found",
    "it",
    "so",
    "my",
    "this",
    "time",
    "with",
]


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    """A BERT of 2 layers and width 32 with its own WordPiece vocabulary (Latin words, Han characters), not trained."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-bert")
    words = [*GOOD, *BAD, *THINGS, *FILLER, *"abcdefghijklmnopqrstuvwxyz0123456789.,!?[]@"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    words += list("酒店房间很好差干净服务态度冷热一二三不了的是")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    backend = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    tokenizer = BertTokenizerFast(tokenizer_object=backend._tokenizer, model_max_length=64)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(folder)
    return folder


def review(rng: random.Random, label: str, length: int = 9) -> str:
    """A made-up review whose words mostly agree with its label."""
    own, other = (GOOD, BAD) if label == "good" else (BAD, GOOD)
    words = [rng.choice(FILLER + THINGS) for _ in range(length)]
    for _ in range(3):
        words[rng.randrange(length)] = rng.choice(own if rng.random() < 0.9 else other)
    return " ".join(words)


@pytest.fixture
def broken_off(monkeypatch):
    """`with broken_off(7):` every fit in it is interrupted after update 7, as by Ctrl-C."""
    from charter.training import fitting

    @contextmanager
    def after(updates):
        def stop(session, step):
            original(session, step)
            if step.step == updates:
                raise KeyboardInterrupt

        original = fitting._Session.add
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(fitting._Session, "add", stop)
            yield

    return after


@pytest.fixture
def reviews_csv(tmp_path) -> Path:
    """400 made-up reviews with a group column, as csv."""
    rng = random.Random(11)
    lines = ["text,label,city"]
    for number in range(400):
        label = "good" if number % 2 else "bad"
        lines.append(f"{review(rng, label)},{label},{rng.choice(['Paris', '北京', 'Oslo'])}")
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


LONGEST = (
    "test_world.py",
    "test_run.py",
    "test_corpora_broken_off.py",
    "test_objectives.py",
    "test_continual.py",
)
"""Files that begin first, so that no process has one of them left at the end."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)
