"""The AsyncAPI 3.0 document, put together from its parts.

A part describes one way in which events leave the service, with its channels, operations and messages. To add
one, write a module beside `feed_part` and name its `Part` in `_PARTS`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from offerlog_infrastructure.http.asyncapi.feed_part import build_feed_part
from offerlog_infrastructure.http.asyncapi.part import Part
from offerlog_infrastructure.http.asyncapi.webhook_part import build_webhook_part

Document = dict[str, Any]

_PARTS: Final = (build_feed_part, build_webhook_part)
"""Builders of the parts, in the order of the document."""

_DESCRIPTION: Final = (
    "Events of the log of web chat offers, as CloudEvents 1.0. Fields may be added to `data` at any time; a"
    " change of a field that is there is a new version of the type. Ignore what you do not know."
)


@cache
def build_document() -> Mapping[str, Any]:
    """Build the document.

    Raises:
        ValueError: Two parts use the same name.
    """
    document: Document = {
        "asyncapi": "3.0.0",
        "info": {"title": "offerlog", "version": "1", "description": _DESCRIPTION},
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "service": {
                "host": "{host}",
                "protocol": "http",
                "description": "The HTTP service (`offerlog serve`).",
                "variables": {"host": {"default": "localhost:8000", "description": "Host and port."}},
            },
            "receiver": {
                "host": "{host}",
                "protocol": "https",
                "description": "The receiver of a webhook.",
                "variables": {"host": {"default": "shop.example", "description": "Host and port."}},
            },
        },
        "channels": {},
        "operations": {},
        "components": {
            "messages": {},
            "schemas": {},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key: `ofl_...`."}
            },
        },
    }
    for build in _PARTS:
        _add(document, build())
    return document


def _add(document: Document, part: Part) -> None:
    components = document["components"]
    for place, added in (
        (document["channels"], part.channels),
        (document["operations"], part.operations),
        (components["messages"], part.messages),
        (components["schemas"], part.schemas),
    ):
        if twice := place.keys() & added.keys():
            raise ValueError(f"two parts of the AsyncAPI document use the names {sorted(twice)}")
        place.update(added)
