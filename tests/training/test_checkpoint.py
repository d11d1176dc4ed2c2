"""Checkpoints that were damaged, or are of something else, are moved aside and told; training starts anew."""

import pytest
import torch
from torch import nn

from charter.training.checkpoint import load_checkpoint, save_checkpoint
from charter.training.optimizers import Optimizers

FACTS = {"step": 0, "seconds": 0.0, "history": []}


def small(width=4, rate=0.1):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
    optimizer = Optimizers([torch.optim.AdamW(model.parameters(), lr=rate)])
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def changed(path, change):
    content = torch.load(path, weights_only=True)
    torch.save(change(content), path)


SPOILED = {
    "empty": lambda path: path.write_bytes(b""),
    "junk": lambda path: path.write_bytes(b"\x80junk" * 99),
    "text": lambda path: path.write_text("[" * 100_000),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zip": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "list": lambda path: changed(path, lambda _: [1, 2]),
    "number": lambda path: changed(path, lambda _: 5),
    "lacks best": lambda path: changed(path, lambda content: {"weights": content["weights"]}),
    "other facts": lambda path: changed(path, lambda content: {**content, "facts": {"steps": 1}}),
    "facts of another type": lambda path: changed(path, lambda content: {**content, "facts": {**FACTS, "step": "1"}}),
    "facts none": lambda path: changed(path, lambda content: {**content, "facts": None}),
    "weights none": lambda path: changed(path, lambda content: {**content, "weights": {}}),
    "best of no sense": lambda path: changed(path, lambda content: {**content, "best": {"a": 1}}),
    "optimizer of no sense": lambda path: changed(path, lambda content: {**content, "optimizer": {}}),
    "other model": lambda path: save_checkpoint(path.parent, *small(width=5), None, FACTS),
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_checkpoint_of_no_use_is_moved_aside_and_told(tmp_path, spoil):
    model, optimizer = small()
    save_checkpoint(tmp_path, model, optimizer, None, FACTS)
    spoil(tmp_path / "checkpoint.pt")
    notes = []
    assert load_checkpoint(tmp_path, model, optimizer, FACTS, notes.append) is None
    assert "starts anew" in notes[0]
    assert (tmp_path / "checkpoint.pt.unreadable").exists()
    assert load_checkpoint(tmp_path, model, optimizer, FACTS, notes.append) is None
    assert len(notes) == 1


def test_a_whole_checkpoint_is_read_and_nothing_is_told(tmp_path):
    model, optimizer = small()
    save_checkpoint(tmp_path, model, optimizer, None, {**FACTS, "step": 7})
    notes = []
    saved = load_checkpoint(tmp_path, model, optimizer, FACTS, notes.append)
    assert saved is not None
    assert saved.facts["step"] == 7
    assert notes == []
