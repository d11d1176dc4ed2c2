"""The JSON Schema of the charter file, for editors, plug-ins and their options included."""

from typing import Any

from charter import plugins
from charter.spec.check import PLANNED_KEYS
from charter.spec.model import Charter


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a charter."""
    schema = Charter.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    for kind in ("preparation", "adapter", "task", "audit", "tracker"):
        definitions[kind] = {"oneOf": [_use(kind, name, definitions) for name in plugins.names(kind)]}
    definitions["Data"]["properties"]["prepare"]["items"] = {"$ref": "#/$defs/preparation"}
    inputs, modality = definitions["Data"]["properties"]["inputs"], {"enum": list(plugins.names("input"))}
    inputs["patternProperties"] = dict.fromkeys(inputs["patternProperties"], modality)
    inputs["additionalProperties"] = False
    definitions["Model"]["properties"]["adapt"] = {"$ref": "#/$defs/adapter"}
    definitions["Release"]["properties"]["formats"]["items"] = {"enum": list(plugins.names("exporter"))}
    schema["properties"]["task"] = {"$ref": "#/$defs/task"}
    schema["properties"]["audits"]["items"] = {"$ref": "#/$defs/audit"}
    schema["properties"]["tracking"]["items"] = {"$ref": "#/$defs/tracker"}
    for key in ("pretraining", "federation", "privacy"):
        schema["properties"][key] = dict(_NOT_BUILT)
    for where, keys in PLANNED_KEYS.items():
        section = definitions[where[0].capitalize()] if where else schema
        section["properties"] |= {key: dict(_NOT_BUILT) for key in sorted(keys)}
    definitions.pop("Privacy", None)
    definitions.pop("Use", None)
    return schema


_NOT_BUILT = {"type": "null", "description": "not built yet"}


def _use(kind: plugins.Kind, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    options = plugins.options_model(kind, name).model_json_schema(
        ref_template=f"#/$defs/{kind}.{name}.{{model}}"
    )
    about = (plugins.load(kind, name).__doc__ or "").strip().split("\n")[0]
    definitions |= {f"{kind}.{name}.{model}": one for model, one in options.get("$defs", {}).items()}
    return {
        "type": "object",
        "description": about,
        "properties": {"use": {"const": name}, **options.get("properties", {})},
        "required": ["use", *options.get("required", [])],
        "additionalProperties": False,
    }
