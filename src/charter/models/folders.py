"""A model's folder: which of its files are read, and that none of them leads to a file or to code outside it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from charter.errors import CharterError, ModelError
from charter.runs.files import read_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The one file of weights, or the index of several; where both are there, the one file is read."""
OTHERS = ("config.json", "tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json",
          "*.model")  # fmt: skip
PATTERNS = ("*.safetensors", INDEX, *OTHERS)
"""The files that are fetched from the hub; nothing else is."""
TOKENIZERS = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))
"""What a tokenizer can be made from; any `*.model` too."""
ELSEWHERE = ("transformers_weights", "quantization_config")
"""Keys of config.json that name other files of weights, or libraries that unpack them."""


class _Index(BaseModel):
    """An index of weights: tensor -> the file that holds it."""

    weight_map: dict[str, str]


def read_files(folder: Path) -> dict[str, Path]:
    """Every file that is read of a model's folder: its weights, its config and its tokenizer's.

    Raises:
        ModelError: as `weight_files`.
    """
    names = {path.name for pattern in OTHERS for path in folder.glob(pattern) if path.is_file()}
    return {name: folder / name for name in sorted({*names, *weight_files(folder)})}


def weight_files(folder: Path) -> tuple[str, ...]:
    """The names of the files that hold the weights, the index of several among them.

    An index may only name files beside it. transformers itself would follow `../other.safetensors`, and unpickle a
    `weights.bin` that an index names.

    Raises:
        ModelError: there are no safetensors weights, or the index is none or names other files.
    """
    shards = _shards(folder)
    if (folder / WEIGHTS).is_file():
        return (WEIGHTS,)
    if shards:
        return (INDEX, *shards)
    raise ModelError(
        f"{folder} has no safetensors weights ({WEIGHTS}); pickled weights are never loaded. "
        "Convert it once with transformers: model.save_pretrained(folder)"
    )


def _shards(folder: Path) -> tuple[str, ...]:
    index = folder / INDEX
    if not index.exists():
        return ()
    try:
        named = sorted(set(_Index.model_validate(read_json(index)).weight_map.values()))
    except (OSError, ValueError):
        raise ModelError(f"{index} is no index of weights; get a whole copy") from None
    for name in named:
        if not re.fullmatch(r"[^/\\\0]+\.safetensors", name) or not (folder / name).is_file():
            raise ModelError(
                f"{index} names weights that are no safetensors file beside it ({name[:80]!r}); they are not loaded"
            )
    return tuple(named)


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json, if transformers knows its kind and it leads nowhere else.

    Raises:
        ModelError: there is none, it is no JSON object, of no kind that transformers knows, or it asks for other files
            or code.
    """
    path = folder / "config.json"
    try:
        config = read_json(path)
    except FileNotFoundError:
        raise ModelError(f"{folder} has no config.json") from None
    except (OSError, ValueError):
        raise ModelError(f"{path} is not JSON") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a JSON object")
    from transformers import CONFIG_MAPPING

    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise ModelError(
            f"{path}: transformers knows no model type {str(kind)[:80]!r}; code from a model's folder is never run"
        )
    for key in ELSEWHERE:
        if config.get(key) is not None:
            raise ModelError(f"{path}: '{key}' is not supported; give the plain model, whole in {WEIGHTS}")
    kernels = [key for key, value in config.items() if key.endswith("_implementation") and "/" in str(value)]
    if kernels:
        raise ModelError(f"{path}: '{kernels[0]}' asks for code from the hub, which is never run")
    return config


def check_folder(folder: Path) -> None:
    """Check that a folder holds a whole model: config, safetensors weights, the files of a tokenizer.

    Raises:
        ModelError: it doesn't; or it is an adapter that names another model.
    """
    read_config(folder)
    weight_files(folder)
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            f"{folder} is a peft adapter (adapter_config.json), not a whole model; merge it into its base first: "
            "model.merge_and_unload().save_pretrained(folder)"
        )
    check_tokenizer(folder)


def check_tokenizer(folder: Path) -> None:
    """Check that a folder has the files of a tokenizer; without, transformers makes up one that knows no word.

    Raises:
        ModelError: it has none.
    """
    kinds = [all((folder / name).is_file() for name in names) for names in TOKENIZERS]
    if not any(kinds) and not list(folder.glob("*.model")):
        raise ModelError(
            f"{folder} has no tokenizer files: needs tokenizer.json (or vocab.txt, or vocab.json and merges.txt). "
            "Save them beside the model: tokenizer.save_pretrained(folder)"
        )


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Say what transformers, tokenizers and safetensors say of files that can't be loaded, in one line.

    Raises:
        ModelError: it could not be loaded.
    """
    try:
        yield
    except (CharterError, MemoryError):
        raise
    except Exception as error:
        # For a malformed file these libraries raise any kind: ZeroDivisionError, StrictDataclassError, Exception itself.
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise ModelError(f"{what} can't be loaded ({type(error).__name__}): {first}") from None
