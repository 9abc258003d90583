"""Types of the HTTP clients, from the schemas of the OpenAPI document, in Python and in TypeScript."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from offerlog_infrastructure.http.openapi.schemas import build_schemas

ROOTS = (
    "ActionMap",
    "ActionMapsReport",
    "ApiKey",
    "BlockedOffers",
    "Decision",
    "DeletedTenant",
    "Eligibility",
    "Funnel",
    "History",
    "KeyringKey",
    "ListedWebhook",
    "MadeWebhook",
    "NewApiKey",
    "OfferOfVisitor",
    "OfferTimes",
    "Outcome",
    "Performance",
    "PolicyInForce",
    "Problem",
    "RecentVisitor",
    "Refusal",
    "RefusalCounts",
    "ReportGivenOut",
    "ShownWebhook",
    "Signal",
    "Subscription",
    "Suppression",
    "Suppressions",
    "SuppressionsOfMany",
    "TimelineEntry",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
)
"""The models that the clients take and return. Models that these refer to are generated, too."""

NOTICE = "Made from the OpenAPI document by docs/generate.py (`make docs`); do not edit."

Schema = Mapping[str, Any]


def python_types() -> str:
    """The module of the Python client."""
    lines = [
        f'"""Fields of requests and answers. {NOTICE}"""',
        "",
        "from typing import Literal, NotRequired, TypedDict",
    ]
    for name, schema in _models():
        required = schema.get("required", ())
        fields = {
            field: kind if field in required else f"NotRequired[{kind}]"
            for field, kind in ((field, _python(one)) for field, one in schema["properties"].items())
        }
        lines += ["", ""]
        if any(not field.isidentifier() or field == "from" for field in fields):
            body = ", ".join(f"{json.dumps(field)}: {kind}" for field, kind in fields.items())
            lines += [f'{name} = TypedDict("{name}", {{{body}}})', f'"""{schema["description"]}"""']
        else:
            lines += [f"class {name}(TypedDict):", f'    """{schema["description"]}"""', ""]
            lines += [f"    {field}: {kind}" for field, kind in fields.items()]
    return "\n".join(lines) + "\n"


def typescript_types() -> str:
    """The module of the TypeScript client."""
    lines = [f"// Fields of requests and answers. {NOTICE}"]
    for name, schema in _models():
        required = schema.get("required", ())
        lines += ["", f"/** {schema['description']} */", f"export interface {name} {{"]
        for field, one in schema["properties"].items():
            if "description" in one:
                lines.append(f"  /** {one['description']} */")
            lines.append(f"  {field}{'' if field in required else '?'}: {_typescript(one)};")
        lines.append("}")
    return "\n".join(lines) + "\n"


def _models() -> Iterator[tuple[str, Schema]]:
    """Yield the schemas of the roots and of all that they refer to; those that others refer to come first."""
    schemas = build_schemas()
    done: set[str] = set()

    def visit(name: str) -> Iterator[tuple[str, Schema]]:
        if name not in done:
            done.add(name)
            for other in sorted(_references(schemas[name])):
                yield from visit(other)
            yield name, schemas[name]

    for root in ROOTS:
        yield from visit(root)


def _references(part: object) -> set[str]:
    match part:
        case {"$ref": str(place)}:
            return {place.rpartition("/")[2]}
        case dict():
            return {name for one in part.values() for name in _references(one)}
        case list():
            return {name for one in part for name in _references(one)}
    return set()


def _python(schema: Schema) -> str:
    match schema:
        case {"anyOf": choices}:
            return " | ".join(dict.fromkeys(_python(one) for one in choices))
        case {"enum": values}:
            return f"Literal[{', '.join(json.dumps(one) for one in values)}]"
        case {"$ref": place}:
            return str(place).rpartition("/")[2]
        case {"type": "array", "items": items}:
            return f"list[{_python(items)}]"
        case {"type": "object", "additionalProperties": dict() as values}:
            return f"dict[str, {_python(values)}]"
        case {"type": kind}:
            return {
                "string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None",
                "object": "dict[str, object]",
            }[kind]  # fmt: skip
    raise ValueError(f"no Python type for {schema}")


def _typescript(schema: Schema) -> str:
    match schema:
        case {"anyOf": choices}:
            return " | ".join(dict.fromkeys(_typescript(one) for one in choices))
        case {"enum": values}:
            return " | ".join(json.dumps(one) for one in values)
        case {"$ref": place}:
            return str(place).rpartition("/")[2]
        case {"type": "array", "items": items}:
            inner = _typescript(items)
            return f"({inner})[]" if " | " in inner else f"{inner}[]"
        case {"type": "object", "additionalProperties": dict() as values}:
            return f"Record<string, {_typescript(values)}>"
        case {"type": kind}:
            return {"integer": "number", "object": "Record<string, unknown>"}.get(kind, str(kind))
    raise ValueError(f"no TypeScript type for {schema}")
