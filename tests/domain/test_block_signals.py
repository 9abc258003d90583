"""The vendor's event of a blocked offer as a signal: its fields, its faults, and both readings of it."""

import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest
from msgspec import structs

from offerlog_domain import wire
from offerlog_domain.block_signals import BlockSignal, NativeBlock, to_native_block
from offerlog_domain.fast_reading import convert_block_fast, read_block_fast, read_fast
from offerlog_domain.signals import MalformedSignalError, NativeSignal, Signal, UntrackedEventError
from offerlog_domain.wire import (
    any_signal_from_document,
    read_any_signal,
    read_signal,
    validate_document,
    validate_text,
)
from support.mutated_signals import SEED, TEXTS, mutate
from support.wire import BLOCKED, BROWSER

EVENT: Final = BLOCKED["blockedWebActionOfferEvent"]
TOPIC: Final[dict[str, Any]] = {"topicName": "v2.journey.sessions.1.action.events", "version": "2"}


def values(signal: NativeBlock) -> list[tuple[type, object]]:
    """Every field of a signal with its type: 1 and True are equal."""
    return [(type(value), value) for value in structs.astuple(signal)]


def by_pydantic(read: Callable[[Any], Signal | BlockSignal], text: object) -> NativeBlock | None:
    """The blocked offer that pydantic reads; None for anything else."""
    try:
        signal = read(text)
    except (MalformedSignalError, UntrackedEventError):
        return None
    return None if isinstance(signal, Signal) else to_native_block(signal)


def changed(**fields: Any) -> dict[str, Any]:
    """The event with other fields inside."""
    return BLOCKED | {"blockedWebActionOfferEvent": EVENT | fields}


def test_what_is_accepted_of_mutated_texts_pydantic_reads_alike() -> None:
    """As text and as a decoded object; `make fuzz-signals` tries many."""
    # given
    print(f"{TEXTS} texts of seed {SEED}")  # noqa: T201 - pytest shows it where the test fails
    texts = random.Random(SEED)  # noqa: S311 - the same texts again
    accepted, declined_though_valid = 0, 0
    for number in range(TEXTS):
        text = mutate(texts, (BLOCKED,))
        # when
        fast, slow = read_block_fast(text), by_pydantic(validate_text, text)
        # then
        if fast is None:
            declined_though_valid += slow is not None
        else:
            accepted += 1
            assert slow is not None, f"seed {SEED}, text {number}: {text!r}"
            assert values(fast) == values(slow), f"seed {SEED}, text {number}: {text!r}"
            assert read_fast(text) is None, "a text has one reading"
        try:
            document = json.loads(text)
        except ValueError:
            continue
        if (converted := convert_block_fast(document)) is not None:
            slow = by_pydantic(validate_document, document)
            assert slow is not None, f"seed {SEED}, text {number}: {document!r}"
            assert values(converted) == values(slow), f"seed {SEED}, text {number}: {document!r}"
    assert accepted > TEXTS / 8
    assert declined_though_valid > 0


def test_a_usual_event_needs_no_validation_by_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As text or as an object."""
    # given
    text = json.dumps(BLOCKED).encode()
    expected = by_pydantic(validate_text, text)
    monkeypatch.setattr(wire, "validate_text", None)
    monkeypatch.setattr(wire, "validate_document", None)
    # then
    assert expected == read_any_signal(text) == any_signal_from_document(BLOCKED)


def test_what_is_not_needed_may_be_left_out_or_null() -> None:
    """Id, customer, map and reason are enough; a notification around it changes nothing."""
    least = {
        "id": BLOCKED["id"].upper(),
        "eventType": "BlockedWebActionOfferEvent",
        "customerId": "v",
        "blockedWebActionOfferEvent": {
            "actionMap": {"id": EVENT["actionMap"]["id"]},
            "blockingReason": "Ein neuer Grund",
        },
    }
    nulls = least | {"createdDate": None, "customerIdType": None, "session": None}
    for document in (least, nulls, TOPIC | {"eventBody": least}):
        signal = read_any_signal(json.dumps(document).encode())
        assert isinstance(signal, NativeBlock)
        assert (str(signal.event_id), signal.customer_id_type) == (BLOCKED["id"], "cookie")
        assert (signal.reason, signal.action_id, signal.occurred_at) == ("Ein neuer Grund", None, None)
        assert (signal.media_type, signal.action_map_version) == (None, None)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no event id": (BLOCKED | {"id": None}, "id"),
    "no customer": (BLOCKED | {"customerId": ""}, "customerId"),
    "no event": (BLOCKED | {"blockedWebActionOfferEvent": None}, "blockedWebActionOfferEvent.actionMap.id"),
    "an event that is no object": (
        BLOCKED | {"blockedWebActionOfferEvent": []},
        "blockedWebActionOfferEvent",
    ),
    "no map": (changed(actionMap=None), "blockedWebActionOfferEvent.actionMap.id"),
    "a map that is text": (changed(actionMap="x"), "blockedWebActionOfferEvent.actionMap"),
    "no reason": (changed(blockingReason=None), "blockedWebActionOfferEvent.blockingReason"),
    "an empty reason": (changed(blockingReason=""), "blockedWebActionOfferEvent.blockingReason"),
    "a long reason": (changed(blockingReason="x" * 257), "blockedWebActionOfferEvent.blockingReason"),
    "a reason of two lines": (changed(blockingReason="a\nb"), "blockedWebActionOfferEvent.blockingReason"),
    "NUL in the reason": (changed(blockingReason="a\0"), "blockedWebActionOfferEvent.blockingReason"),
    "half a character": (changed(blockingReason="\ud800"), "blockedWebActionOfferEvent.blockingReason"),
    "a number as reason": (changed(blockingReason=7), "blockedWebActionOfferEvent.blockingReason"),
    "an action id": (changed(action={"id": "7"}), "blockedWebActionOfferEvent.action.id"),
    "a fraction as version": (
        changed(actionMap=EVENT["actionMap"] | {"version": 1.5}),
        "blockedWebActionOfferEvent.actionMap.version",
    ),
    "a naive time": (BLOCKED | {"createdDate": "2026-11-22T10:00:00"}, "createdDate"),
}


@pytest.mark.parametrize(("document", "field"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_by_its_place(document: dict[str, Any], field: str) -> None:
    """With the event's id and the customer, as far as they are valid."""
    text = json.dumps(document).encode()
    for read in (partial(any_signal_from_document, document), partial(read_any_signal, text)):
        with pytest.raises(MalformedSignalError) as refused:
            read()
        assert refused.value.field == field
        assert refused.value.event_id == (None if field == "id" else BLOCKED["id"])
        assert refused.value.customer == (None if field == "customerId" else ("email", BLOCKED["customerId"]))


def test_a_reader_of_states_does_not_take_it() -> None:
    """And a signal that names an action is a signal of a state, whatever its other fields."""
    with pytest.raises(UntrackedEventError):
        read_signal(json.dumps(BLOCKED).encode())
    signal = read_any_signal(json.dumps(BROWSER | {"eventType": BLOCKED["eventType"]}).encode())
    assert isinstance(signal, NativeSignal)


def test_only_media_types_with_a_lifecycle_are_tracked() -> None:
    """One that is not known is tracked: the vendor's event mostly does not say it."""
    for media_type, is_tracked in ((None, True), ("contentOffer", True), ("openAction", False)):
        document = changed(action={"mediaType": media_type})
        signal = read_any_signal(json.dumps(document).encode())
        assert isinstance(signal, NativeBlock)
        assert signal.is_tracked is is_tracked
