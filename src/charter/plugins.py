"""The table of plug-ins: kind and name -> a callable whose keyword-only annotated parameters are its options.

A plug-in is a factory: called with its options it returns the central value of its kind (a preparation, an adapter,
a task, an audit ...). Built-ins stand in one lazy table of `"module:callable"` strings; other packages add theirs
through entry points of the group `charter.<kind>`. Loading a plug-in imports its module only; such a module imports
torch, transformers and the like inside its functions, so that `charter check` stays quick.
"""

import difflib
import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from charter.errors import OptionError

Kind = Literal[
    "source",
    "preparation",
    "detector",
    "input",
    "tokenizer",
    "adapter",
    "objective",
    "retention",
    "clipping",
    "task",
    "audit",
    "exporter",
    "tracker",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

BUILT_IN: Mapping[Kind, Mapping[str, str]] = MappingProxyType(
    {
        "source": {
            "csv": "charter.data.sources.delimited:csv",
            "tsv": "charter.data.sources.delimited:tsv",
            "json": "charter.data.sources.json_arrays:json_array",
            "jsonl": "charter.data.sources.records:jsonl",
            "parquet": "charter.data.sources.records:parquet",
            "conll": "charter.data.sources.conll:conll",
            "excel": "charter.data.sources.excel:excel",
            "folder": "charter.data.sources.folder:folder",
            "lines": "charter.data.sources.folder:lines",
            "paragraphs": "charter.data.sources.folder:paragraphs",
            "sql": "charter.data.sources.sql:sql",
            "hf": "charter.data.sources.hub:hf",
            "sample": "charter.data.sources.samples:sample",
            "synthetic_pii": "charter.data.sources.synthetic_pii:synthetic_pii",
        },
        "preparation": {
            "repair_text": "charter.data.preparations.repair:repair_text",
            "normalise_label": "charter.data.preparations.repair:normalise_label",
            "mask_pii": "charter.data.preparations.pii:mask_pii",
            "drop_exact_duplicates": "charter.data.preparations.duplicates:drop_exact_duplicates",
            "drop_near_duplicates": "charter.data.preparations.duplicates:drop_near_duplicates",
            "keep_languages": "charter.data.preparations.languages:keep_languages",
            "drop_short": "charter.data.preparations.lengths:drop_short",
            "decontaminate": "charter.data.preparations.decontamination:decontaminate",
            "label_noise": "charter.data.preparations.label_noise:label_noise",
            "cap_per_class": "charter.data.preparations.sampling:cap_per_class",
            "balance": "charter.data.preparations.sampling:balance",
            "augment": "charter.data.preparations.augmentation:augment",
        },
        "detector": {
            "bundle": "charter.serving.detection:bundle",
            "presidio": "charter.data.presidio:presidio",
        },
        "input": {"text": "charter.data.text:text"},
        "tokenizer": {
            "wordpiece": "charter.models.tokenizers:wordpiece",
            "bpe": "charter.models.tokenizers:bpe",
            "unigram": "charter.models.tokenizers:unigram",
            "characters": "charter.models.tokenizers:characters",
            "extended": "charter.models.tokenizers:extended",
        },
        "adapter": {
            "full": "charter.models.adapters:full",
            "head": "charter.models.adapters:head",
            "lora": "charter.models.adapters:lora",
            "bias": "charter.models.adapters:bias",
            "gradual": "charter.models.adapters:gradual",
        },
        "objective": {
            "contrastive": "charter.training.contrastive:contrastive",
            "distillation": "charter.training.distillation:distillation",
        },
        "retention": {
            "lwf": "charter.training.retention:lwf",
            "ewc": "charter.training.retention:ewc",
        },
        "clipping": {
            "flat": "charter.privacy.clipping:flat",
            "per_layer": "charter.privacy.clipping:per_layer",
            "adaptive": "charter.privacy.clipping:adaptive",
        },
        "task": {
            "causal_language_modelling": "charter.tasks.causal_language_modelling:causal_language_modelling",
            "classification": "charter.tasks.classification:classification",
            "text_pair_classification": "charter.tasks.classification:text_pair_classification",
            "multi_label_classification": "charter.tasks.multi_label_classification:multi_label_classification",
            "multiple_choice": "charter.tasks.multiple_choice:multiple_choice",
            "next_sentence_prediction": "charter.tasks.sentence_pairs:next_sentence_prediction",
            "masked_language_modelling": "charter.tasks.masked_language_modelling:masked_language_modelling",
            "ordinal": "charter.tasks.ordinal:ordinal",
            "question_answering": "charter.tasks.question_answering:question_answering",
            "regression": "charter.tasks.regression:regression",
            "replaced_token_detection": "charter.tasks.replaced_token_detection:replaced_token_detection",
            "sentence_embedding": "charter.tasks.sentence_embedding:sentence_embedding",
            "simcse": "charter.tasks.simcse:simcse",
            "sentence_order_prediction": "charter.tasks.sentence_pairs:sentence_order_prediction",
            "sentence_similarity": "charter.tasks.sentence_similarity:sentence_similarity",
            "token_classification": "charter.tasks.token_classification:token_classification",
        },
        "audit": {
            "performance": "charter.audits.performance:performance",
            "calibration": "charter.audits.calibration:calibration",
            "fairness": "charter.audits.fairness:fairness",
            "reidentification": "charter.audits.reidentification:reidentification",
            "membership_inference": "charter.audits.membership_inference:membership_inference",
            "privacy_lower_bound": "charter.audits.privacy_lower_bound:privacy_lower_bound",
            "extraction": "charter.audits.extraction:extraction",
        },
        "exporter": {
            "safetensors": "charter.models.exports:safetensors",
            "onnx": "charter.models.onnx_graphs:onnx",
            "onnx-int8": "charter.models.onnx_graphs:onnx_int8",
            "peft": "charter.models.peft_adapters:peft",
            "openvino": "charter.models.openvino_graphs:openvino",
            "openvino-int8": "charter.models.openvino_graphs:openvino_int8",
        },
        "tracker": {
            "wandb": "charter.tracking.weights_and_biases:wandb",
            "mlflow": "charter.tracking.mlflow:mlflow",
        },
    }
)

# Understood, but not built yet: naming one is refused with a message that says so, never taken for a typing error.
PLANNED: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "source": (),
        "preparation": (),
        "detector": (),
        "input": ("image", "audio", "series", "tabular"),
        "tokenizer": (),
        "adapter": (),
        "objective": (),
        "retention": (),
        "clipping": (),
        "task": (),
        "audit": (
            "counterfactual_fairness",
            "explanations",
            "robustness",
            "attribution",
        ),
        "exporter": (),
        "tracker": (),
    }
)


def names(kind: Kind) -> tuple[str, ...]:
    """Every name of this kind that can be used now: built-ins first, then entry points."""
    return tuple(BUILT_IN[kind]) + tuple(
        point.name for point in _points(kind) if point.name not in BUILT_IN[kind]
    )


def load(kind: Kind, name: str) -> Callable[..., Any]:
    """The factory of one plug-in.

    Raises:
        OptionError: no such plug-in, with the nearest name; or one that is planned but not built yet.
    """
    target = BUILT_IN[kind].get(name)
    if target is not None:
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    for point in _points(kind):
        if point.name == name:
            return point.load()  # type: ignore[no-any-return]
    raise OptionError(unknown(kind, name))


def unknown(kind: Kind, name: str) -> str:
    """The message for a plug-in name that can't be used: planned, or not known with the nearest name."""
    known = names(kind)
    listed = ", ".join(known)
    if name in PLANNED[kind]:
        return f"{kind} '{name}' is understood but not built yet in this version of Charter. Built: {listed}."
    near = difflib.get_close_matches(name, (*known, *PLANNED[kind]), n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{name}'.{hint} Known: {listed}."


@cache
def options_model(kind: Kind, name: str) -> type[BaseModel]:
    """A pydantic model of one plug-in's options, read from its keyword-only parameters.

    Positional parameters are given by Charter itself (a source gets its location) and are no options.

    Raises:
        OptionError: as `load`.
        TypeError: the plug-in's own signature is not one of options (an unannotated or variadic parameter).
    """
    factory = load(kind, name)
    hints = get_type_hints(factory, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(factory).parameters.values():
        if (
            parameter.kind is inspect.Parameter.VAR_KEYWORD
            or parameter.kind is inspect.Parameter.VAR_POSITIONAL
        ):
            raise TypeError(
                f"plug-in {kind} '{name}': *{parameter.name} can't be an option; name each option"
            )
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.name not in hints:
            raise TypeError(f"plug-in {kind} '{name}': option '{parameter.name}' has no annotation")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], Field(default=default))
    return create_model(f"{name}_options", __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def check_options(kind: Kind, name: str, options: Mapping[str, Any]) -> BaseModel:
    """A plug-in's options, checked strictly: a text is never taken for a number or a truth value.

    They are checked as the JSON they are, so that a list may be a tuple and a whole number a float; 1e3 is a whole
    number, as it is for JSON Schema.

    Raises:
        OptionError, TypeError: as `options_model`; or options that are no JSON.
        ValidationError: an unknown option, or a value outside what the signature accepts.
    """
    model = options_model(kind, name)
    try:
        text = json.dumps(_whole_numbers(dict(options)))
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{kind} '{name}': options are numbers, texts, lists and mappings ({error})"
        ) from None
    return model.model_validate_json(text, strict=True)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _whole_numbers(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def resolve(kind: Kind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The full options of a plug-in: those given, checked, with the defaults of its signature filled in.

    Raises:
        OptionError: an unknown plug-in or option, or a value outside what the signature accepts.
    """
    model = options_model(kind, name)
    try:
        checked = check_options(kind, name, options)
    except ValidationError as error:
        raise OptionError(f"{kind} '{name}': {_said(error, tuple(model.model_fields))}") from None
    return {field: getattr(checked, field) for field in model.model_fields}


def distribution(kind: Kind, name: str) -> str:
    """The distribution that a plug-in comes from; artefacts made by the plug-in hold its version in their key."""
    if name not in BUILT_IN[kind]:
        for point in _points(kind):
            if point.name == name and point.dist is not None:
                return str(point.dist.name)
    return "charter"


def make(kind: Kind, name: str, options: Mapping[str, Any], *given: Any) -> Any:
    """Call a plug-in's factory with its checked options, and of `given` (what Charter itself hands) as many as it takes."""
    factory = load(kind, name)
    parameters = inspect.signature(factory).parameters.values()
    takes = sum(one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for one in parameters)
    return factory(*given[:takes], **resolve(kind, name, options))


def _said(error: ValidationError, known: Sequence[str]) -> str:
    parts = []
    for detail in error.errors(include_url=False, include_input=False):
        at = ".".join(str(step) for step in detail["loc"])
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(at, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            parts.append(f"unknown option '{at}'.{hint} Known: {', '.join(known) or 'none'}.")
        else:
            parts.append(f"option '{at}': {detail['msg']}")
    return "; ".join(parts)


@cache
def _points(kind: Kind) -> tuple[Any, ...]:
    return tuple(entry_points(group=f"charter.{kind}"))
