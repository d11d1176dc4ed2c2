"""The charter reference, `docs/charter.md`, made from the models and the plug-ins' signatures.

`python -m charter.spec.reference > docs/charter.md`
"""

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from pydantic import BaseModel

from charter import plugins
from charter.spec import fairness, metrics
from charter.spec.model import Charter
from charter.spec.parts import section_of
from charter.spec.use import Use

HEAD = """\
# The charter file

Made from Charter's own models by `make docs`; a test holds the two together. Every key, its type, its default and what it
means. Keys without a default must be given. `{use: NAME, option: value}` names a plug-in and its options, listed below.

The file is YAML 1.2, read strictly: only `true` and `false` are truth values (`yes`, `no`, `on` and `off` are text), a number in
quotes is text, and 1e3 is a whole number. `charter check` says every problem at once and refuses the file; beside that it prints
notes, on standard error and without another exit code, on what is no mistake but keeps the model from being released: no limit,
a `purpose.risk` whose evidence no audit of the charter measures (`high` demands audits that only a plug-in can give in this
version), a limit that every model keeps, a `privacy.epsilon` above `data.privacy_budget`, text still marked `TO SAY:`, a package
that is not installed. `charter run --draft` packs such a model, marked as refused.
"""


def reference() -> str:
    """The whole page as Markdown."""
    schema = Charter.model_json_schema(mode="validation")
    parts = [HEAD, *_section("", Charter, schema["$defs"])]
    for name, field in Charter.model_fields.items():
        section, _ = _model(field.annotation)
        if section is not None:
            parts += _section(name, section, schema["$defs"])
            if name == "pretraining":  # its own sections are those of data and training
                continue
            for inner, one in section.model_fields.items():
                model, mark = _model(one.annotation)
                if model is not None and inner != "adapt":
                    parts += _section(f"{name}.{inner}{mark}", model, schema["$defs"])
    parts += _limits()
    for kind in plugins.KINDS:
        parts += _plugin_tables(kind)
    return "\n".join(parts).rstrip("\n") + "\n"


def _model(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The section that a key holds, or a list of which it holds, marked as a list."""
    found = section_of(annotation)
    if found is None or found is Use:
        return None, ""
    return found, "[]" if get_origin(annotation) is tuple else ""


def _limits() -> Iterator[str]:
    yield "## `limits`\n"
    yield "`METRIC >= NUMBER`, or `METRIC[SLICE=VALUE] >= NUMBER`, where `*` stands for every value that has evidence. Of errors less is"
    yield "better, so their limits are `<=`. `{limit: TEXT, judge: point}` judges the value, not its interval's worse end. Measured are:\n"
    yield "| audit | task | over all rows, and `[GROUP=VALUE]` | `[class=NAME]` |\n|---|---|---|---|"
    for audit, tasks in metrics.OVERALL.items():
        if audit in metrics.CLAIMS:
            yield from _of_claim(audit, tasks)
            continue
        if audit == "fairness":
            continue
        for task, names in tasks.items():
            by_class = metrics.per_class(audit, task)
            cells = [", ".join(f"`{name}`" for name in some) or "-" for some in (names, by_class)]
            yield f"| {audit} | {task} | {cells[0]} | {cells[1]} |"
    yield (
        "\nAll lie within 0 and 1 but for "
        + ", ".join(f"`{name}` ({low:g} to {high:g})" for name, (low, high) in metrics.RANGES.items())
        + f". Errors are {', '.join(f'`{name}`' for name in metrics.ERRORS)}; before the temperature, `[temperature=before]`.\n"
    )
    yield "How groups are treated, by the audit `fairness`:\n"
    yield "| task | `[across=GROUP COLUMN]` | of each group: `[class=NAME, GROUP=VALUE]` |\n|---|---|---|"
    told: dict[tuple[str, str], list[str]] = {}
    for task in metrics.HEADLINES:
        both = fairness.across_groups(task), fairness.of_groups(task)
        across, each = (", ".join(f"`{name}`" for name in some) or "-" for some in both)
        told.setdefault((across, each), []).append(task)
    for (across, each), tasks_of in told.items():
        yield f"| {', '.join(tasks_of)} | {across} | {each} |"
    yield (
        "\n`overconfidence` and `mean_error` have no class. Two columns together are `[across=sex & race]` and `[class=NAME, sex=female, "
        "race=black]`. `[class=NAME, sex=female, reference=male]` of a contrast is held against the audit's `reference`. Of differences "
        "less is better; of a group's rates neither is.\n"
    )
    yield (
        f"Of every released format, whatever the audits: {', '.join(f'`{name}`' for name in metrics.OF_FORMATS)} (the share of "
        "test rows answered as by the first format; milliseconds for a text alone in one thread, on the machine that runs it; "
        "megabytes). Less is better of the last two.\n"
    )
    yield (
        f"Of a model that goes on from an earlier one (`continual`): {', '.join(f'`{name}`' for name in metrics.CONTINUAL)}, of the "
        "task's main score; the first two also of each earlier task, `[earlier_task=DATA ID]`. See [continual learning](continual.md).\n"
    )
    yield (
        f"`{metrics.MULTIPLE}[baseline={metrics.UNIGRAM}]` is a language model's perplexity over that of its training texts' token "
        "frequencies; below 1 is better.\n"
    )
    yield f"`{metrics.GAIN}[baseline=NAME]` is the gain in a task's main score over a baseline:\n"
    for task, names in ((task, names) for task, names in metrics.BASELINES.items() if names):
        yield f"- {task}: `{metrics.HEADLINES[task]}` over {', '.join(f'`{name}`' for name in names)}"
    yield (
        f"- classification with `descriptions`: also over `{metrics.NEAREST}`, unless nothing is learned (`epochs: 0` without an "
        "objective)"
    )
    yield f"\nA group column can't be called {', '.join(f'`{name}`' for name in metrics.SLICES)}: findings have slices of these names.\n"


def _of_claim(audit: str, tasks: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """An audit of the privacy claim in one row: it measures the same of every task that it reads."""
    names = next(iter(filter(None, tasks.values())))
    able = ", ".join(task for task, measured in tasks.items() if measured)
    own = ", ".join(
        f"`[{name}={' or '.join(values) or 'NUMBER'}]`" for name, values in metrics.OWN_SLICES[audit].items()
    )
    yield f"| {audit} | {able} | {', '.join(f'`{name}`' for name in names)}{f'; by {own}' if own else ''}, by no group | - |"


def _section(path: str, model: type[BaseModel], definitions: dict[str, Any]) -> Iterator[str]:
    title = f"`{path}`" if path else "The top"
    yield f"## {title}\n\n{(inspect.getdoc(model) or '').strip()}\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    properties = model.model_json_schema(mode="validation")["properties"]
    for name, field in model.model_fields.items():
        default = "**needed**" if field.is_required() else f"`{_default(field)}`"
        kind = _type(properties[name], definitions)
        about = (field.description or "").replace("|", "\\|")
        yield f"| `{path + '.' if path else ''}{name}` | {kind} | {default} | {about} |"
    yield ""


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "{use: " + value.use + "}" if hasattr(value, "use") else "see below"
    if isinstance(value, tuple):
        return (
            "["
            + ", ".join("{use: " + one.use + "}" if hasattr(one, "use") else str(one) for one in value)
            + "]"
        )
    return json.dumps(value)


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A JSON Schema type in words."""
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one, definitions) for one in schema[several]))
    if "allOf" in schema:
        return _type(schema["allOf"][0], definitions)
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return "plug-in" if name == "Use" else "mapping"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "value")
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} {_type(schema['prefixItems'][0], definitions)}s"
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), definitions)}"
    names = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "object": "mapping",
    }
    return str(names.get(kind, kind)) + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f" ({', '.join(said)})" if said else ""


def _plugin_tables(kind: plugins.Kind) -> Iterator[str]:
    titles = {
        "source": "Sources (the word before the colon in `data.source`, or `{use: SOURCE, path: LOCATION, option: value}`)",
        "preparation": "Preparations (`data.prepare`)",
        "detector": "Detectors of personal data (`mask_pii`: `bundle` by its option `model`, others by `engine`)",
        "input": "Modalities (`data.inputs`)",
        "tokenizer": "Tokenizers (`model.tokenizer`)",
        "adapter": "Adapters (`model.adapt`)",
        "objective": "Objectives (`training.objective`)",
        "retention": "Holding on to an earlier model (`continual.keep`)",
        "clipping": "Bounding gradients (`privacy.clipping`)",
        "task": "Tasks (`task`, `pretraining.objective`)",
        "audit": "Audits (`audits`)",
        "exporter": "Formats (`release.formats`)",
        "tracker": "Trackers (`tracking`)",
    }
    yield f"## {titles[kind]}\n"
    for name in plugins.BUILT_IN[kind]:
        about = (inspect.getdoc(plugins.load(kind, name)) or "").split("\n")[0]
        yield f"- **`{name}`**: {about}"
        model = plugins.options_model(kind, name)
        properties = model.model_json_schema().get("properties", {})
        for option, field in model.model_fields.items():
            default = "needed" if field.is_required() else f"default `{_default(field)}`"
            meaning = f": {field.description}" if field.description else ""
            yield f"    - `{option}` ({_type(properties[option], {})}, {default}){meaning}"
    planned = plugins.PLANNED[kind]
    if planned:
        yield f"\nUnderstood and refused, because not built yet: {', '.join(f'`{name}`' for name in planned)}."
    yield ""


if __name__ == "__main__":
    sys.stdout.write(reference())
