"""Answers to many examples: in their order, a bounded number of sequences at once, no example parted."""

import numpy as np
import pytest
import torch

from charter.data.batch import Examples
from charter.models.engines.graph import Graph
from charter.models.inference import predict_outputs


class Counting(Graph):
    """A graph that answers with each sequence's first token, and keeps how many sequences each call had."""

    inputs = ("input_ids",)
    outputs = ("logits",)
    batch_size = 4

    def __init__(self):
        self.calls = []

    def compute(self, arrays):
        self.calls.append(len(arrays["input_ids"]))
        return [arrays["input_ids"][:, :1].astype(np.float32)]


class First:
    """A task whose output is the first token of each sequence of an example."""

    def outputs(self, model, batch, _):
        told = model(**batch.inputs).logits
        sizes = torch.ones(len(batch.index), dtype=torch.int64) if batch.sizes is None else batch.sizes
        return [one.numpy() for one in told.split(sizes.tolist())]


def examples_of(sizes):
    count = sum(sizes)
    rng = np.random.default_rng(2)
    ids = tuple(np.full(rng.integers(1, 9), place, dtype=np.int64) for place in range(count))
    several = None if set(sizes) == {1} else np.asarray(sizes, dtype=np.int64)
    return Examples(ids, None, np.arange(len(sizes)), 0, 0, sizes=several)


@pytest.mark.parametrize(
    ("sizes", "most"),
    [([1] * 10, 4), ([2] * 7, 4), ([3] * 5, 3), ([1, 9, 1, 1, 1, 5, 2], 9)],
    ids=["one each", "pairs", "three fit but once", "long texts in many windows"],
)
def test_no_more_sequences_are_computed_at_once_than_the_engine_says_or_one_example_has(sizes, most):
    graph, done = Counting(), []
    found = predict_outputs(
        graph, First(), examples_of(sizes), on_batch=lambda now, of: done.append((now, of))
    )
    assert max(graph.calls) == most
    assert sum(graph.calls) == sum(sizes)
    ends = np.cumsum(sizes)
    for one, end, size in zip(found, ends, sizes, strict=True):
        assert one.ravel().tolist() == list(range(end - size, end))
    assert done[-1] == (len(sizes), len(sizes))
