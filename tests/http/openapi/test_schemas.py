"""Schemas of the OpenAPI document follow from the models of answers and requests."""

from typing import Any

import pytest

from offerlog_domain.metrics import METRICS
from offerlog_infrastructure.http.openapi.schemas import build_schemas, keep_reachable
from offerlog_infrastructure.presentation import answers


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """The schemas of all models, by name."""
    return build_schemas()


def test_the_model_of_metrics_names_the_metrics_of_the_domain() -> None:
    """Given the domain's metrics, when the model is compared, then names and order are the same."""
    assert list(answers.Metrics.__annotations__) == list(METRICS.values())


def test_answers_are_closed_and_signals_are_open(schemas: dict[str, Any]) -> None:
    """Given the schemas, when a field is added, then an answer forbids it and a signal does not."""
    assert schemas["Outcome"]["additionalProperties"] is False
    assert schemas["Problem"]["additionalProperties"] is False
    assert schemas["Offer"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Signal"]
    assert "additionalProperties" not in schemas["StoredAction"]


def test_every_field_of_an_answer_is_described(schemas: dict[str, Any]) -> None:
    """Given the docstrings, when schemas are built, then each model and each field has a description."""
    for name, schema in schemas.items():
        if name in {"AnySignal", "Offer", "Visitor", "Visitors", "ReportHead"}:
            continue
        assert schema["description"], name
        for field, value in schema["properties"].items():
            assert value.get("description"), f"{name}.{field}"


def test_fields_of_a_base_come_first(schemas: dict[str, Any]) -> None:
    """Given a model with a base, when its schema is built, then the fields of the base come first."""
    assert list(schemas["Suppressions"]["properties"]) == [
        "position",
        "age_seconds",
        "short_by",
        "suppressions",
    ]


def test_schemas_that_nothing_refers_to_are_left_out() -> None:
    """Given a reference to a schema, when the others are dropped, then what that one refers to stays."""
    schemas = {"A": {"items": {"$ref": "#/components/schemas/B"}}, "B": {}, "C": {}}
    assert list(keep_reachable(schemas, {"$ref": "#/components/schemas/A"})) == ["A", "B"]
