"""What a process holds of a model that is trained, whole and split; run by torchrun: split_bytes.py BASE."""

import json
import sys
from pathlib import Path

import torch

from charter.models.adapters import adapted, full
from charter.models.base import find_base
from charter.models.forward import forward_of
from charter.models.sharded import shard
from charter.models.world import joined
from charter.spec.training import Training
from charter.tasks.masked_language_modelling import MaskedLanguageModelling
from charter.training.optimizers import optimizers_of


def own(tensors):
    """Bytes that this process holds of tensors; several may lie in one piece of memory."""
    pieces = [getattr(one, "_local_tensor", one).untyped_storage() for one in tensors]
    return sum({one.data_ptr(): one.nbytes() for one in pieces}.values())


def held(model):
    """Bytes of weights, gradients and moments after an update."""
    optimizer = optimizers_of(model, Training())
    ids = torch.arange(20).view(2, 10)
    forward_of(model)(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    optimizer.step()
    states = [state for part in optimizer.parts for state in part.state.values()]
    return {
        "weights": own(model.parameters()),
        "gradients": own(one.grad for one in model.parameters()),
        "moments": own(value for state in states for name, value in state.items() if name != "step"),
    }


def main(base):
    torch.set_num_threads(1)
    with joined() as world:
        found, task = find_base(base, None, Path()), MaskedLanguageModelling()
        model = adapted(found, task, full(), seed=1, max_length=32)
        whole = held(model)
        model.zero_grad()
        shard(model, world.size)
        print(json.dumps({"whole": whole, "split": held(model)}) + "\n", end="", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
