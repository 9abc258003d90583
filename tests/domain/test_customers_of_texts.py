"""The customer whom a refused text names, however the text is broken: an erasure must find it."""

import json
from typing import Any

import pytest

from offerlog_domain.signals import MAX_LINE_BYTES, MalformedSignalError, UntrackedEventError
from offerlog_domain.wire import read_signal
from support.journeys import signal

ONE: dict[str, Any] = signal("offered", visitor=1, sessionId="no id")
OTHER: dict[str, Any] = signal("offered", visitor=2, sessionId="no id")
WHO = ONE["customerId"]


def refuse(text: bytes) -> MalformedSignalError | UntrackedEventError:
    """The error of a text that is refused."""
    with pytest.raises((MalformedSignalError, UntrackedEventError)) as caught:
        read_signal(text)
    error = caught.value
    assert isinstance(error, MalformedSignalError | UntrackedEventError)
    return error


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ONE),
        json.dumps(ONE | {"customerIdType": ""}),
        json.dumps(ONE | {"customerIdType": 7}),
        json.dumps({"eventBody": ONE}),
        json.dumps({"entities": [7, ONE, ONE]}),
        json.dumps({"entities": [{"eventBody": ONE}]}),
        json.dumps({"eventType": "OtherEvent", "customerId": WHO}),
        json.dumps(ONE)[:-1],
        json.dumps(ONE, indent=1)[:-1],
        json.dumps(ONE) + "}",
        json.dumps([ONE]),
        json.dumps({"data": {"signal": ONE}}),
        json.dumps(ONE) + " " * MAX_LINE_BYTES,
        json.dumps(ONE)[:-1].replace(WHO, "".join(f"\\u{ord(one):04x}" for one in WHO)),
    ],
)
def test_a_refused_text_is_attributed_to_the_visitor_whom_it_names(text: str) -> None:
    """In a wrapper, cut off, too long, or with a type that is not valid: then the type is the usual one."""
    error = refuse(text.encode())
    assert (error.customer, error.names_several) == (("cookie", WHO), False)


def test_a_valid_type_is_kept() -> None:
    """Also where the text is cut off."""
    for text in (
        json.dumps(ONE | {"customerIdType": "account"}),
        json.dumps(ONE | {"customerIdType": "account"})[:-1],
    ):
        assert refuse(text.encode()).customer == ("account", WHO)


@pytest.mark.parametrize("text", [json.dumps({"entities": [ONE, OTHER]}), json.dumps([ONE, OTHER])[:-1]])
def test_a_text_that_names_several_visitors_says_so(text: str) -> None:
    """It cannot be attributed to each of them."""
    error = refuse(text.encode())
    assert (error.customer, error.names_several) == (None, True)


@pytest.mark.parametrize(
    "text", ["", "{", '{"customerId": 7', '{"customerId": ""', '{"customerId": "\\ud800"', '{"customerId": ']
)
def test_a_text_that_names_nobody_is_attributed_to_nobody(text: str) -> None:
    """An id that is empty, is not text, or has not begun."""
    error = refuse(text.encode())
    assert (error.customer, error.names_several) == (None, False)


@pytest.mark.parametrize("end", ["", "visit", "visitor-1", "visi\\", "visi\\u00", 'a\\"b', "x" * 300])
def test_nothing_may_be_kept_of_a_text_that_ends_in_the_middle_of_an_id(end: str) -> None:
    """An erasure would not find the part of the id that is there."""
    error = refuse(f'{{"actionState": "offered", "customerId" : "{end}'.encode())
    assert (error.customer, error.names_several) == (None, True)
    after = refuse(f'{{"customerId": "visitor-1", "data": {{"customerId": "{end}'.encode())
    assert (after.customer, after.names_several) == (("cookie", "visitor-1"), True)
