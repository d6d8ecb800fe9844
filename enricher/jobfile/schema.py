"""The JSON Schema of a job file, for editors; made from the models, so that it cannot differ."""

from collections.abc import Mapping
from typing import Any

from enricher.job import OF_A_STEP, Job
from enricher.jobfile.layout import (
    INPUTS,
    OPTIONS,
    PAIRED,
    PROVIDER,
    STEPS,
    TOP,
    WANTED,
    Key,
    keys,
)

_FED = {
    "description": "What feeds each input of the grid: a column, a template or a constant.",
    "type": "object",
    "additionalProperties": {
        "anyOf": [
            {"type": "string", "description": "The name of a column."},
            *(
                {
                    "type": "object",
                    "properties": {form: {"type": "string"}},
                    "required": [form],
                    "additionalProperties": False,
                }
                for form in ("column", "template", "value")
            ),
        ]
    },
}


def schema(descriptions: Mapping[str, str]) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12); `descriptions` are words for people, by field."""
    definitions: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {TOP: {}, PROVIDER: {}, OPTIONS: {}}
    for key in keys().values():
        sections[key.section][key.name] = _property(key, descriptions, definitions)
    # A provider may have keys of its own, which it checks itself.
    sections[TOP][PROVIDER] = {**_table(sections[PROVIDER]), "additionalProperties": True}
    sections[TOP][INPUTS] = _FED
    sections[TOP][OPTIONS] = _table(sections[OPTIONS])
    sections[TOP][STEPS] = _steps(sections)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job file of enricher",
        **_table(sections[TOP]),
        "$defs": definitions,
    }


def _steps(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    own = {name: one for name, one in sections[OPTIONS].items() if name in OF_A_STEP}
    step = {
        WANTED: {
            "description": "Outputs of which the step must fill one, or its row goes on to the next"
            " step. Default: any result is an answer.",
            "type": "array",
            "items": {"type": "string"},
        },
        PROVIDER: sections[TOP][PROVIDER],
        INPUTS: _FED,
        OPTIONS: _table(own),
    }
    words = "Providers that are asked in turn, instead of [provider] and [inputs]."
    return {"description": words, "type": "array", "minItems": 2, "items": _table(step)}


def _table(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(
    key: Key, descriptions: Mapping[str, str], definitions: dict[str, Any]
) -> dict[str, Any]:
    found = key.adapter.json_schema(ref_template="#/$defs/{model}")
    definitions.update(found.pop("$defs", {}))
    found.pop("title", None)
    if key.model is Job and key.field == "provider":
        found.pop("const", None)  # an installed provider has a name that nobody here knows
        found["type"] = "string"
    if not key.info.is_required() and key.info.default is not None:
        found["default"] = key.adapter.dump_python(key.info.default, mode="json")
    if words := descriptions.get(key.field):
        found = {"description": words, **found}
    found = _without_null(found)
    return _or_several(found) if key.field in PAIRED else found


def _or_several(found: dict[str, Any]) -> dict[str, Any]:
    """One, or a list with one for each workspace."""
    words = {name: found.pop(name) for name in ("description",) if name in found}
    several = {"type": "array", "items": found, "minItems": 1}
    return {**words, "anyOf": [found, several]}


def _without_null(found: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: an option that is not given is left out."""
    choices = [choice for choice in found.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        rest = {name: value for name, value in found.items() if name != "anyOf"}
        return {**rest, **choices[0]}
    return {**found, "anyOf": choices} if choices else found
