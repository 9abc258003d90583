"""A part of the AsyncAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Entries = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Entries that a part adds to the document, by name.

    Attributes:
        channels: Channel objects.
        operations: Operation objects.
        messages: Message objects of the components.
        schemas: Schemas of the components.
    """

    channels: Entries = field(default_factory=dict)
    operations: Entries = field(default_factory=dict)
    messages: Entries = field(default_factory=dict)
    schemas: Entries = field(default_factory=dict)


def refer(place: str, *names: str) -> dict[str, str]:
    """Return a reference to a place of the document, such as `components/messages` and a name."""
    return {"$ref": "/".join(["#", place, *names])}
