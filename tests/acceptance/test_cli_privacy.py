"""The commands erase, access and hold, as a user runs them."""

import json
from pathlib import Path

import pytest

from support.command_line import CommandLine
from support.journeys import journeys, signal

REJECTED, OTHER, WAITING = "visitor-1", "visitor-3", "visitor-5"


@pytest.fixture
def filled(offerlog: CommandLine, tmp_path: Path) -> CommandLine:
    """The command, for an organization with some visitors."""
    signals = tmp_path / "signals.ndjson"
    signals.write_bytes(b"\n".join(journeys(7)) + b"\n")
    offerlog("record", str(signals))
    return offerlog


def test_a_visitor_is_shown_erased_and_unknown_afterwards(filled: CommandLine) -> None:
    """The counts stay, and a second erasure says that nothing is held."""
    # given
    counts = filled("report", "--format", "json").json["rows"]
    (held,) = filled("access", "--customer", REJECTED).lines
    assert {one["place"] for one in held["held"]} >= {"visitors", "offerlog_events", "suppressions"}
    assert held["held"][0]["fields"]["customer_id"] == REJECTED
    # when
    erased = filled("erase", "--customer", REJECTED, "--compact")
    # then
    (receipt,) = erased.lines
    assert "their bytes stay in the files" in erased.errors
    assert (receipt["events"], receipt["refusals"], receipt["signature"]) == (2, 0, None)
    assert filled("report", "--format", "json").json["rows"] == counts
    for command in ("erase", "access"):
        again = filled(command, "--customer", REJECTED, code=1)
        assert "nothing is held of this visitor" in again.errors


def test_a_legal_hold_is_set_listed_and_lifted(filled: CommandLine) -> None:
    """Meanwhile the visitor cannot be erased, and the reason is in the error."""
    filled("hold", "set", "--customer", REJECTED, "--reason", "lawsuit 12/2026")
    assert "lawsuit 12/2026; lift it first" in filled("erase", "--customer", REJECTED, code=1).errors
    (hold,) = filled("hold", "list", "--format", "json").lines
    assert (hold["customer_id"], hold["reason"]) == (REJECTED, "lawsuit 12/2026")
    assert REJECTED in filled("hold", "list").text
    filled("hold", "lift", "--customer", REJECTED)
    assert "there was no legal hold" in filled("hold", "lift", "--customer", REJECTED, code=1).errors
    assert "There are no legal holds." in filled("hold", "list").text
    filled("erase", "--customer", REJECTED)


def test_a_file_of_requests_goes_on_behind_a_line_that_fails(filled: CommandLine, tmp_path: Path) -> None:
    """JSON and CSV lines; each has a result with its number."""
    # given
    filled("hold", "set", "--customer", OTHER, "--reason", "lawsuit")
    requests = tmp_path / "requests.csv"
    requests.write_bytes(
        b"\xef\xbb\xbfcustomer_id,customer_id_type\n"
        + f"{REJECTED}\n\n{OTHER},cookie\nnobody\n".encode()
        + b'{"customer_id": 7}\n{"broken\na,b,c\n\xff\n'
        + json.dumps({"customerId": WAITING}).encode()
    )
    # when
    ran = filled("erase", "--file", str(requests), code=1)
    # then
    results = ran.lines
    assert [(one["line"], one["result"]) for one in results] == [
        (2, "erased"),
        (4, "held"),
        (5, "unknown"),
        (6, "malformed"),
        (7, "malformed"),
        (8, "malformed"),
        (9, "malformed"),
        (10, "erased"),
    ]
    assert "lawsuit" in results[1]["error"]


def test_a_file_whose_visitors_are_erased_or_unknown_is_no_failure(
    filled: CommandLine, tmp_path: Path
) -> None:
    """As a second run of the same file."""
    requests = tmp_path / "requests.txt"
    requests.write_text(f"{REJECTED}\n")
    for result in ("erased", "unknown"):
        (found,) = filled("erase", "--file", str(requests)).lines
        assert found["result"] == result


def test_ids_of_requests_are_taken_byte_for_byte(offerlog: CommandLine, tmp_path: Path) -> None:
    """Spaces belong to an id; the name of a column may be one, in JSON; a mark of the encoding is none."""
    # given
    names = ["id", " lead", "trail ", "trail", "first"]
    signals = tmp_path / "signals.ndjson"
    lines = [json.dumps(signal("offered", visitor=n) | {"customerId": one}) for n, one in enumerate(names)]
    signals.write_text("\n".join(lines) + "\n")
    offerlog("record", str(signals))
    requests = tmp_path / "requests.txt"
    requests.write_bytes(b'{"customer_id": "id"}\r\n lead\r\ntrail \nnobody\n')
    # when
    results = [one["result"] for one in offerlog("erase", "--file", str(requests)).lines]
    # then
    assert results == ["erased", "erased", "erased", "unknown"]
    # when
    given = "\ufefffirst\ntrail\n".encode()
    results = [one["result"] for one in offerlog("erase", "--file", "-", given=given).lines]
    # then
    assert results == ["erased", "erased"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--customer", "a", "--file", "b"], "give either --customer or --file"),
        ([], "give --customer, --file, --compact or --rewrite"),
        (["--file", "/nowhere/requests.csv"], "there is no such file"),
        (["--file", "/"], "/: it is a folder"),
    ],
)
def test_a_wrong_call_erases_nothing(offerlog: CommandLine, options: list[str], error: str) -> None:
    """One line says what is wrong."""
    ran = offerlog("erase", *options, code=2)
    assert error in ran.errors
