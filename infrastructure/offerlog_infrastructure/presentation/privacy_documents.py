"""Erasures and what is held of a visitor, as documents."""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from offerlog_application.ports.erasure import Erasure, HeldRow, LegalHold
from offerlog_domain.identity import VisitorKey
from offerlog_domain.uuids import format_uuid
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.documents import format_time


def describe_erasure(erasure: Erasure) -> answers.Erasure:
    """Describe an erasure."""
    return {
        "organization": erasure.organization,
        "erased_at": format_time(erasure.erased_at),
        "events": erasure.events,
        "refusals": erasure.refusals,
        "position": erasure.position,
        "receipt_position": erasure.receipt_position,
        "signature": erasure.signature or None,
        "unreadable": erasure.unreadable,
    }


def describe_visitor_data(
    organization: str, visitor: VisitorKey, held: Sequence[HeldRow]
) -> answers.VisitorData:
    """Describe all that is held of a visitor."""
    return {
        "organization": organization,
        "customer_id": visitor.id,
        "customer_id_type": visitor.type,
        "held": [{"place": row.place, "fields": _describe_fields(row)} for row in held],
    }


def describe_hold(hold: LegalHold) -> dict[str, Any]:
    """Describe a legal hold."""
    return {
        "customer_id": hold.visitor.id,
        "customer_id_type": hold.visitor.type,
        "since": format_time(hold.since),
        "reason": hold.reason,
    }


def _describe_fields(row: HeldRow) -> dict[str, Any]:
    return {name: _describe_value(value) for name, value in row.fields.items()}


def _describe_value(value: Any) -> Any:
    """Describe a value of a row. Bytes that are no text are written as base64."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    for kind, describe in _DESCRIBED:
        if isinstance(value, kind):
            return describe(value)
    return value


_DESCRIBED: Final[Sequence[tuple[type, Callable[[Any], Any]]]] = (
    (Enum, lambda value: value.value),
    (datetime, format_time),
    (UUID, format_uuid),
    (tuple, list),
)
