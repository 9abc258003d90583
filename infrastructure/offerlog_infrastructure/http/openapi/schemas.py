"""Schemas of the OpenAPI document, derived from the typed models of answers and requests.

The docstring of a model describes the model and its fields in the document. Answers and the bodies of
questions are closed: a field that no model states is a fault, and a test finds it. Signals are open, because
the service ignores their unknown fields.
"""

import json
import re
from typing import Any, Final, is_typeddict

import msgspec
from pydantic.json_schema import models_json_schema

from offerlog_infrastructure.http import problems
from offerlog_infrastructure.http.requests import models, signal_forms
from offerlog_infrastructure.presentation import answers

Schema = dict[str, Any]

_PLACE: Final = "#/components/schemas/"
_REFERENCE: Final = re.compile(rf'"{_PLACE}(\w+)"')
_FIELD: Final = re.compile(r"^ +(\w+): (\S.*(?:\n {12,}.*)*)$", re.MULTILINE)
"""A field in the section "Attributes" of a docstring."""

_ASKED: Final = (models.Offer, models.Visitors, models.NewKey, models.NewWebhook, models.NewPolicy)


def refer_to(name: str) -> Schema:
    """Return a reference to the schema of this name."""
    return {"$ref": _PLACE + name}


def build_schemas() -> dict[str, Schema]:
    """Build the schemas of all models, by name."""
    _, asked = models_json_schema(
        [(one, "validation") for one in _ASKED],
        ref_template=_PLACE + "{model}",
    )
    return {
        **_describe(_models_of(answers), is_closed=True),
        **_describe([problems.Problem], is_closed=True),
        **_describe(_models_of(signal_forms), is_closed=False),
        **{name: _without_titles(schema) for name, schema in asked["$defs"].items()},
        "AnySignal": {
            "anyOf": [refer_to(one) for one in ("StoredSignal", "BlockedSignal", "Signal", "ShortSignal")]
        },
    }


def keep_reachable(schemas: dict[str, Schema], start: object) -> dict[str, Schema]:
    """Keep the schemas that a part of the document refers to, directly or through others, sorted by name."""
    reached: set[str] = set()
    pending = _references(start)
    while pending:
        reached |= pending
        pending = set().union(*(_references(schemas[name]) for name in pending)) - reached
    return {name: schemas[name] for name in sorted(reached)}


def _references(part: object) -> set[str]:
    return set(_REFERENCE.findall(json.dumps(part)))


def _models_of(module: object) -> list[type]:
    """Return the models that a module defines for others."""
    return [one for name, one in vars(module).items() if is_typeddict(one) and not name.startswith("_")]


def _describe(described: list[type], *, is_closed: bool) -> dict[str, Schema]:
    """Describe models; an object of a closed model has the fields of the model and no other."""
    _, schemas = msgspec.json.schema_components(described, ref_template=_PLACE + "{name}")
    for model in described:
        schema = schemas[model.__name__]
        meanings = _inherited_meanings(model, described) | _meanings(model)
        del schema["title"]
        schema["description"] = _summary(model)
        schema["properties"] = {
            name: _with_meaning(schema["properties"][name], meanings.get(name))
            for name in model.__annotations__
        }
        if is_closed:
            schema["additionalProperties"] = False
    return schemas


def _summary(model: type) -> str:
    return (model.__doc__ or "").partition("\n\n")[0]


def _meanings(model: type) -> dict[str, str]:
    """Return the descriptions of a model's fields, from its docstring."""
    _, _, section = (model.__doc__ or "").partition("Attributes:\n")
    return {name: " ".join(meaning.split()) for name, meaning in _FIELD.findall(section)}


def _inherited_meanings(model: type, described: list[type]) -> dict[str, str]:
    """Return the descriptions of the fields of the models that a model extends.

    A typed dictionary does not know what it extends, so these are all models whose fields it has.
    """
    extended = [one for one in described if one.__annotations__.items() < model.__annotations__.items()]
    return {name: meaning for one in extended for name, meaning in _meanings(one).items()}


def _with_meaning(schema: Schema, meaning: str | None) -> Schema:
    return schema if meaning is None else {**schema, "description": meaning}


def _without_titles(schema: Schema) -> Schema:
    """Drop the titles that only repeat the names of fields."""
    properties = {
        name: {key: value for key, value in one.items() if key != "title"}
        for name, one in schema["properties"].items()
    }
    return {key: value for key, value in schema.items() if key != "title"} | {"properties": properties}
