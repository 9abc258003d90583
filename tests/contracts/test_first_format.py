"""What offerlog 0.1 stored is read as the same events; `first_format.json` was written by its code."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from offerlog_domain.event_fields import PrivateFields
from offerlog_domain.events import EVENTS
from offerlog_domain.lifecycle import BEFORE_OFFER
from offerlog_infrastructure.postgres.conversion.stored_forms import decode_stored

STORED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("first_format.json").read_text())
NOT_THEN = {"parked_version", "parked_versions"}
"""Fields that version 1 did not have."""


def test_every_kind_of_event_of_then_is_there() -> None:
    """With all of its fields and with only those it must have. States before an offer were refused then."""
    then = {kind.stored_name for kind in EVENTS} - BEFORE_OFFER
    assert {one["topic"] for one in STORED} == {f"{name}.1" for name in then}


def plain(value: object) -> object:
    """A value as the file has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, UUID) else value


@pytest.mark.parametrize("number", range(len(STORED)))
def test_an_event_of_the_first_format_is_read_with_every_field(number: int) -> None:
    """Public fields and private fields together are what it said then."""
    # given
    one = STORED[number]
    fields: dict[str, Any] = one["fields"]
    visitor = fields["visitor"]
    expected = {name: value for name, value in fields.items() if name != "visitor"} | visitor
    del expected["originator_id"], expected["originator_version"]
    # when
    read = decode_stored(one["topic"], bytes.fromhex(one["state"]))
    # then
    found = {
        name: plain(value)
        for name, value in (structs.asdict(read.event) | structs.asdict(read.private)).items()
        if name not in NOT_THEN
    }
    found |= {"customer_id": read.visitor.id, "customer_id_type": read.visitor.type}
    optional = {name for name in PrivateFields.__struct_fields__ if name not in expected}
    assert {name: found.pop(name) for name in optional} == dict.fromkeys(optional)
    assert found == expected
