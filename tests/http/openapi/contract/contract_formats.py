"""What schemathesis has to be told of the service: its own formats, and rules that no schema can state."""

import json
import os
import string
import urllib.request
import zoneinfo
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st
from schemathesis import CheckContext, HookContext, Response
from schemathesis.generation import GenerationMode

from offerlog_domain.signals import MAX_NAME_LENGTH
from offerlog_infrastructure.http.responses.pages import encode_cursor

_times = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - hypothesis draws naive ones
    lambda drawn: drawn.replace(tzinfo=UTC)
)
_names = st.text(string.printable.strip(), min_size=1, max_size=256)

schemathesis.openapi.format(
    "time-zone", st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime"}))
)
schemathesis.openapi.format(
    "calendar-time",
    # Every zone's clocks have had these days and quarter-hours.
    st.builds(
        "{:04}-{:02}-{:02}{}".format,
        st.integers(1990, 2200),
        st.integers(1, 12),
        st.integers(1, 19),
        st.sampled_from(["", "T12:00", "T12:45:00", "T00:15Z", "T23:30:00.000+05:45"]),
    ),
)
schemathesis.openapi.format(
    "moment",
    st.one_of(_times.map(datetime.isoformat), st.sampled_from(["now", "yesterday", "-7d", "2026-11-22"])),
)
schemathesis.openapi.format(
    "last-units", st.builds("{}{}".format, st.integers(1, 99), st.sampled_from(["h", "d", "w", "mo"]))
)
schemathesis.openapi.format(
    "period", st.builds("{}{}".format, st.integers(0, 30), st.sampled_from(["", "s", "min", "h", "d"]))
)
schemathesis.openapi.format("action-map", st.uuids().map(str))
schemathesis.openapi.format(
    "suppressions-cursor", st.builds(lambda *at: encode_cursor(list(at)), _names, _names)
)
schemathesis.openapi.format("action-maps-cursor", st.builds(lambda at: encode_cursor([str(at)]), st.uuids()))
schemathesis.openapi.format(
    "history-cursor", st.builds(lambda n: encode_cursor([n]), st.integers(0, 2**31 - 1))
)
schemathesis.openapi.format(
    "refusals-cursor",
    st.builds(lambda at, number: encode_cursor([at.isoformat(), number]), _times, st.integers(0, 2**31 - 1)),
)
schemathesis.openapi.format(
    "offers-cursor",
    st.builds(
        lambda map_, part, at, stream, number: encode_cursor(
            [str(map_), part, at.isoformat(), str(stream), number, 0]
        ),
        st.uuids(),
        st.integers(0, 3),
        _times,
        st.uuids(),
        st.integers(0, 2**31 - 1),
    ),
)
schemathesis.openapi.format(
    "visitor-offers-cursor", st.builds(lambda at: encode_cursor([str(at)]), st.uuids())
)
schemathesis.openapi.format(
    "timeline-cursor",
    st.builds(
        lambda position, at, number: encode_cursor([position, at.isoformat(), number]),
        st.integers(0, 2**31 - 1),
        _times,
        st.integers(0, 2**31 - 1),
    ),
)
schemathesis.openapi.format("feed-cursor", st.sampled_from(["0", "1", "2", "latest"]))


def _signal_validator() -> jsonschema_rs.Validator:
    with urllib.request.urlopen(os.environ["OFFERLOG_URL"] + "/openapi.json", timeout=30) as answer:  # noqa: S310 - our own
        components = json.load(answer)["components"]
    schema = {"$ref": "#/components/schemas/AnySignal", "components": components}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


_signal = _signal_validator()


def _without_points(value: Any) -> Any:
    """Write whole numbers as such: JSON Schema counts 1.0 among the integers, and the service does not."""
    match value:
        case dict():
            return {name: _without_points(one) for name, one in value.items()}
        case list():
            return [_without_points(one) for one in value]
        case float() if value.is_integer():
            return int(value)
    return value


@schemathesis.hook
def before_call(context: HookContext, case: Any, kwargs: dict[str, Any]) -> None:
    """Mend what is right by the schema and still wrong, where a schema has no words for it."""
    del context, kwargs
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    case.body = _without_points(case.body)
    if not case.query:
        return
    if "from" in case.query and "to" in case.query:
        case.query["to"] = "9000-01-01"
    if "timeout" in case.query:  # a long poll in vain lasts as long
        case.query["timeout"] = 1
    if "subscription" in case.query:
        del case.query["subscription"]
    if "last" in case.query:
        case.query.pop("from", None)
        case.query.pop("to", None)
    if case.query.get("metric") in {"open", "lapsed", "rejected_at_form", "rejected_at_invitation"}:
        case.query["cohort"] = "offered"
    if "version" in case.query and "as_of" in case.query:
        del case.query["as_of"]


@schemathesis.hook
def filter_path_parameters(context: HookContext, path_parameters: dict[str, Any] | None) -> bool:
    """Leave out what is too long percent-encoded only: the tool measures that, and the schema the text."""
    del context
    texts = [one for one in (path_parameters or {}).values() if isinstance(one, str)]
    return not any(len(one) > MAX_NAME_LENGTH >= len(unquote(one)) for one in texts)


@schemathesis.check
def judged_as_said(ctx: CheckContext, response: Response, case: Any) -> None:
    """A signal is refused as malformed if, and only if, the schema of signals does not allow it.

    Another event of the vendor is not allowed either: it is not tracked, as its type says.
    """
    del ctx
    sent = response.request
    if case.operation.definition.raw.get("operationId") != "recordSignals" or response.status_code != 200:
        return
    if sent.headers.get("Content-Type") != "application/json" or not isinstance(sent.body, str | bytes):
        return
    outcomes = json.loads(response.content)["outcomes"]
    try:
        document = json.loads(sent.body)
    except ValueError:
        assert [one["reason"] for one in outcomes] == ["malformed"], sent.body
        return
    signals = document if isinstance(document, list) else [document]
    assert len(outcomes) == len(signals)
    for signal, outcome in zip(signals, outcomes, strict=True):
        if json.dumps(signal) == json.dumps(_without_points(signal)):
            malformed = outcome["reason"] == "malformed" or outcome.get("field") == "eventType"
            assert malformed is not _signal.is_valid(signal), (signal, outcome)
