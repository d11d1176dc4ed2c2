"""The JSON Schema of the charter file, for editors, plug-ins and their options included."""

from typing import Any

from charter import plugins
from charter.spec.check import PLANNED_KEYS
from charter.spec.data import WHERE
from charter.spec.model import Charter


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a charter."""
    schema = Charter.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    for kind in ("preparation", "adapter", "objective", "retention", "clipping", "task", "audit", "tracker"):
        definitions[kind] = {"oneOf": [_use(kind, name, definitions) for name in plugins.names(kind)]}
    definitions["source"] = {"oneOf": [_source(name, definitions) for name in plugins.names("source")]}
    for holder in ("Data", "Join", "Pretraining"):
        definitions[holder] = _refer(definitions[holder], "Use", "source")
    definitions["Data"]["properties"]["prepare"]["items"] = {"$ref": "#/$defs/preparation"}
    inputs, modality = definitions["Data"]["properties"]["inputs"], {"enum": list(plugins.names("input"))}
    inputs["patternProperties"] = dict.fromkeys(inputs["patternProperties"], modality)
    inputs["additionalProperties"] = False
    definitions["Model"]["properties"]["adapt"] = {"$ref": "#/$defs/adapter"}
    objective = definitions["Training"]["properties"]["objective"]
    objective["anyOf"] = [{"$ref": "#/$defs/objective"}, {"type": "null"}]
    definitions["Continual"]["properties"]["keep"]["anyOf"] = [
        {"$ref": "#/$defs/retention"},
        {"type": "null"},
    ]
    definitions["Release"]["properties"]["formats"]["items"] = {"enum": list(plugins.names("exporter"))}
    schema["properties"]["task"] = {"$ref": "#/$defs/task"}
    schema["properties"]["audits"]["items"] = {"$ref": "#/$defs/audit"}
    schema["properties"]["tracking"]["items"] = {"$ref": "#/$defs/tracker"}
    definitions["Privacy"]["properties"]["clipping"] = {"$ref": "#/$defs/clipping"}
    before = definitions["Pretraining"]["properties"]
    before["prepare"]["items"] = {"$ref": "#/$defs/preparation"}
    before["objective"] = {"$ref": "#/$defs/task"}
    schema["properties"]["federation"] = dict(_NOT_BUILT)
    for where, keys in PLANNED_KEYS.items():
        section = definitions[where[0].capitalize()] if where else schema
        section["properties"] |= {key: dict(_NOT_BUILT) for key in sorted(keys)}
    return schema


def _source(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A source with its options: beside them it says where it is, once."""
    use = _use("source", name, definitions)
    use["properties"] |= {key: {"type": "string", "minLength": 1} for key in WHERE}
    return {**use, "oneOf": [{"required": [key]} for key in WHERE]}


def _refer(value: Any, old: str, new: str) -> Any:
    """A schema in which every reference to one definition is to another one."""
    if isinstance(value, dict):
        return {key: _refer(one, old, new) for key, one in value.items() if key != "discriminator"}
    if isinstance(value, list):
        return [_refer(one, old, new) for one in value]
    return f"#/$defs/{new}" if value == f"#/$defs/{old}" else value


_NOT_BUILT = {"type": "null", "description": "not built yet"}


def _use(kind: plugins.Kind, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    options = plugins.options_model(kind, name).model_json_schema(
        ref_template=f"#/$defs/{kind}.{name}.{{model}}"
    )
    about = (plugins.load(kind, name).__doc__ or "").strip().split("\n")[0]
    options = _refer(options, f"{kind}.{name}.Use", "source")
    places = options.get("$defs", {})
    places.pop("Use", None)
    definitions |= {f"{kind}.{name}.{model}": one for model, one in places.items()}
    return {
        "type": "object",
        "description": about,
        "properties": {"use": {"const": name}, **options.get("properties", {})},
        "required": ["use", *options.get("required", [])],
        "additionalProperties": False,
    }
