"""The JSON Schema of the charter file, for editors, plug-ins and their options included."""

from typing import Any

from charter import plugins
from charter.spec.model import Charter


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a charter."""
    schema = Charter.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    for kind in ("preparation", "adapter", "task", "audit"):
        definitions[kind] = {"oneOf": [_use(kind, name) for name in plugins.names(kind)]}
    definitions["Data"]["properties"]["prepare"]["items"] = {"$ref": "#/$defs/preparation"}
    definitions["Data"]["properties"]["inputs"]["additionalProperties"] = {
        "enum": list(plugins.names("input"))
    }
    definitions["Model"]["properties"]["adapt"] = {"$ref": "#/$defs/adapter"}
    definitions["Release"]["properties"]["formats"]["items"] = {"enum": list(plugins.names("exporter"))}
    schema["properties"]["task"] = {"$ref": "#/$defs/task"}
    schema["properties"]["audits"]["items"] = {"$ref": "#/$defs/audit"}
    for key in ("pretraining", "federation", "privacy"):
        schema["properties"][key] = {"type": "null", "description": "not built yet"}
    definitions.pop("Privacy", None)
    definitions.pop("Use", None)
    return schema


def _use(kind: plugins.Kind, name: str) -> dict[str, Any]:
    options = plugins.options_model(kind, name).model_json_schema()
    about = (plugins.load(kind, name).__doc__ or "").strip().split("\n")[0]
    return {
        "type": "object",
        "description": about,
        "properties": {"use": {"const": name}, **options.get("properties", {})},
        "required": ["use", *options.get("required", [])],
        "additionalProperties": False,
    }
