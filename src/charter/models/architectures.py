"""New models: any architecture of transformers' from its config, with random weights."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.errors import ModelError
from charter.models.base import longest, quiet
from charter.spec.use import Use

OURS = (
    "vocab_size",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "max_position_embeddings",
    "n_positions",
)
"""Keys of a config that the tokenizer and model.max_length say."""


def is_decoder(model_type: str) -> bool:
    """Whether a type of transformers' reads a text from left to right only.

    Raises:
        ModelError: there is no such type.
    """
    from transformers.models.auto import modeling_auto

    config_class(model_type)
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return model_type in causal and model_type not in masked


PAIRED = ("albert", "bert", "big_bird", "ernie", "megatron-bert", "mobilebert")
"""Types with a head that tells of a pair of texts, beside the one for hidden words, and token types for the two."""

DETECTING = ("electra",)
"""Types with a head that tells of each token whether it was replaced."""


def config_class(model_type: str) -> Any:
    """The config class of a type such as `bert`.

    Raises:
        ModelError: there is no such type, with the nearest one.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        near = difflib.get_close_matches(model_type, list(CONFIG_MAPPING.keys()), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ModelError(f"model.architecture '{model_type}': transformers has no such type.{hint}")
    return CONFIG_MAPPING[model_type]


def check_architecture(asked: Use) -> None:
    """Refuse a type that transformers does not have, or a key that its config does not have.

    Raises:
        ModelError: with the nearest right name.
    """
    kind = config_class(asked.use)
    known = _keys(kind)
    for key in asked.options:
        if key in OURS:
            raise ModelError(
                f"model.architecture.{key}: the tokenizer and model.max_length say it; remove the key"
            )
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise ModelError(f"model.architecture.{key}: a config of '{asked.use}' has no such key.{hint}")
    _made(asked, {}, "meta")  # no memory, no weights: whether there can be such a model


def _made(asked: Use, ours: Mapping[str, Any], device: str) -> Any:
    """A model of an architecture.

    Raises:
        ModelError: its config can't be made, or no model of it.
    """
    import torch
    from transformers import AutoModel

    try:
        with quiet(), torch.device(device):
            config = config_class(asked.use)(**{**asked.options, **ours})
            return AutoModel.from_config(config, dtype=torch.float32)
    except ModelError:
        raise
    except (
        Exception
    ) as error:  # transformers raises any kind for a value that it can't use: KeyError, ZeroDivisionError ...
        said = (str(error).splitlines() or [""])[0][:300]
        raise ModelError(
            f"model.architecture: no model can be made of these values ({type(error).__name__}: {said})"
        ) from None


def _keys(kind: Any) -> tuple[str, ...]:
    with quiet():
        told: Mapping[str, Any] = kind().to_dict()
    return (*told, *getattr(kind, "attribute_map", {}))


def new_base(asked: Use, tokenizer: Any, folder: Path, *, max_length: int, seed: int) -> None:
    """Write a new base into a folder: config, random weights drawn by `seed`, the tokenizer.

    Raises:
        ModelError: the config can't be made, or no model of it.
    """
    import torch

    from charter.models.exports import save_model

    check_architecture(asked)
    known = _keys(config_class(asked.use))
    ours: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if "max_position_embeddings" in known:
        ours["max_position_embeddings"] = max_length
    for name in ("bos", "eos", "cls", "sep"):
        number = getattr(tokenizer, f"{name}_token_id")
        if f"{name}_token_id" in known:
            ours[f"{name}_token_id"] = number
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _made(asked, ours, "cpu")
    lacking = max_length - (longest(model) or max_length)
    if lacking > 0:  # types that count their positions from the padding token on
        ours["max_position_embeddings"] += lacking
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = _made(asked, ours, "cpu")
    tokenizer.model_max_length = max_length
    save_model(model, tokenizer, folder)
