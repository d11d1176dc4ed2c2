"""Which forms of a model a charter can release, as far as its keys alone can say."""

from collections.abc import Iterator

from charter import plugins
from charter.spec.document import Path_
from charter.spec.parts import Parts
from charter.spec.use import Use

PEFT = "peft"
"""The form that is what LoRA adds to a base, without the base."""


def form_problems(parts: Parts) -> Iterator[tuple[Path_, str]]:
    """What keeps a form from being released, each at its place in `release.formats`."""
    for path, name in parts.each("release", "formats").items():
        if name == PEFT:
            because = _why_no_adapter(parts)
            if because:
                yield path, f"format 'peft' is what lora adds to a base, and {because}"


def _why_no_adapter(parts: Parts) -> str:
    """Why no adapter can be shipped without its base; empty where it can."""
    adapt: Use | None = parts.one("model", "adapt")
    objective: Use | None = parts.one("training", "objective")
    task: Use | None = parts.one("task")
    used = "full" if adapt is None else adapt.use
    if used != "lora" and used in plugins.BUILT_IN["adapter"]:
        return f"model.adapt is {used}: write adapt: {{use: lora}}, or take this format out"
    if parts.stands("pretraining") or any(
        parts.one("model", key) is not None for key in ("architecture", "tokenizer")
    ):
        return (
            "this base is made by the run and not released itself: release it by a charter of its own and name that, or take "
            "this format out"
        )
    if task is not None and task.options.get("descriptions"):
        return "a head that starts from descriptions needs the base changed as well: take this format out"
    if objective is not None and objective.use == "contrastive":
        return "a head fitted by objective contrastive needs the base changed as well: take this format out"
    return ""
