"""A generator beside a discriminator: what replaced-token detection learns with (Clark et al. 2020, section 3.2)."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def with_generator(discriminator: Any, *, size: float, seed: int) -> "nn.Module":
    """An ELECTRA discriminator with a new generator beside it: as deep, `size` times as wide, with the same embeddings.

    Its hidden size, feed-forward size and heads are the discriminator's times `size` (at least one head); embeddings of tokens,
    positions and types are one module of both, and the generator's output layer is the embedding of tokens.
    """
    import torch
    from transformers import ElectraForMaskedLM

    own = discriminator.config
    config = copy.deepcopy(own)
    config.num_attention_heads = max(1, round(own.num_attention_heads * size))
    config.hidden_size = own.hidden_size // own.num_attention_heads * config.num_attention_heads
    config.intermediate_size = max(1, round(own.intermediate_size * size))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = ElectraForMaskedLM(config)
    return _joined(discriminator, generator)


def load_generator(discriminator: Any, folder: Path) -> "nn.Module":
    """A discriminator with the generator that was saved in a folder beside it."""
    from transformers import ElectraForMaskedLM

    from charter.models.base import quiet
    from charter.models.folders import loading

    with quiet(), loading(str(folder)):
        generator = ElectraForMaskedLM.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    return _joined(discriminator, generator).eval()


def save_generator(both: Any, folder: Path) -> None:
    """Write the generator in transformers' own layout, its embeddings too."""
    from charter.models.base import quiet

    with quiet():
        both.generator.save_pretrained(folder)


def _joined(discriminator: Any, generator: Any) -> "nn.Module":
    import torch

    generator.electra.embeddings = discriminator.electra.embeddings
    generator.tie_weights()

    return torch.nn.ModuleDict({"discriminator": discriminator, "generator": generator})
