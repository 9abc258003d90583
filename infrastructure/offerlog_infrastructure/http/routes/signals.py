"""POST /v1/signals: one signal, an array, or NDJSON of any length; each gets its own outcome."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from offerlog_application.ports.keys import Key, Role
from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.submissions import OverloadedError
from offerlog_domain.outcomes import Outcome
from offerlog_infrastructure.http.peers import peer_of
from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.access import (
    bearer,
    check_origin,
    check_role,
    check_still_good,
    find_key,
    while_key_is_good,
)
from offerlog_infrastructure.http.requests.bodies import (
    JSON_TYPES,
    MOST_BYTES,
    Reading,
    lines,
    media_type,
    whole,
)
from offerlog_infrastructure.http.requests.json_arrays import signals_in
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.state import key_of, set_key, state_of
from offerlog_infrastructure.http.threads.dispatch import run_submission
from offerlog_infrastructure.http.threads.turns import Turns
from offerlog_infrastructure.observability import signal_log
from offerlog_infrastructure.presentation.documents import Document, outcome_document
from offerlog_infrastructure.presentation.widget_outcomes import (
    is_refused_for_itself,
    widget_outcome_document,
)

router = APIRouter(tags=["signals"])

MOST_SIGNALS: Final = 10_000
"""The longest array; NDJSON may be of any length."""

MOST_WIDGET_SIGNALS: Final = 100
"""The most in one request of a widget's key: it is public, and its rate is counted in requests."""

MOST_WIDGET_BYTES: Final = 1 << 20
"""The longest body with a widget's key, unpacked."""

MOST_BEACON_BYTES: Final = 64 << 10
"""The longest beacon; browsers allow no more."""

_MOST_KEY_BYTES: Final = 1 << 10
"""The longest first line of a beacon."""

_READ_AT_ONCE: Final = 250
_BYTES_READ_AT_ONCE: Final = 256 << 10
"""As many signals, and bytes of signals, are read on the event loop; more of them on threads."""

_BATCH: Final = 1_000
_BATCH_BYTES: Final = 1 << 20
"""An NDJSON body is handed in by batches of so many lines, or bytes: what it holds in memory is bounded."""

_MOST_ANSWER_BYTES: Final = 32 << 20
"""The most bytes of outcomes in one JSON answer, some 200,000; a streamed answer has any number."""

_IN_FLIGHT: Final = 4
_MANY: Final = frozenset({"application/x-ndjson", "application/jsonl", "application/ndjson"})


@router.post(
    "/v1/signals",
    operation_id="recordSignals",
    summary="Record signals",
    response_model=None,
)
async def record_signals(request: Request) -> Response:
    """Record reports that actions reached states.

    The answer is 200 whenever the body could be read, with an outcome for each signal in order: recorded,
    duplicate, parked or refused. It is sent once all of it is durable; sending the same again is safe.
    """
    kind = media_type(request)
    if kind == "text/plain":
        return await _beacon(request)
    key = await _writer(request, bearer(request))
    if kind in _MANY:
        most_bytes = MOST_WIDGET_BYTES if key.role is Role.WIDGET else None
        return await _stream(
            request, key, _no_more_than(_most(key), lines(while_key_is_good(request), most_bytes))
        )
    if kind not in JSON_TYPES:
        raise ProblemError(
            415,
            "unsupported-media-type",
            f"{kind} is not understood: send application/json, application/x-ndjson or text/plain",
            field="Content-Type",
        )
    reading = while_key_is_good(request)
    if key.role is Role.WIDGET:
        body = await whole(reading, MOST_WIDGET_BYTES, advice="; send several")
    else:
        body = await whole(reading, MOST_BYTES, advice="; NDJSON may be longer")
    if not body.strip():
        raise malformed(None, "the body is empty")
    signals = await signals_in(body, _most(key) or MOST_SIGNALS)
    if len(signals) > MOST_SIGNALS:
        raise ProblemError(
            413, "payload-too-large", f"at most {MOST_SIGNALS:,} signals in an array; send NDJSON"
        )
    return await _answer(request, key, signals)


async def _writer(request: Request, text: str | None) -> Key:
    key = check_role(await find_key(request, text), Role.WIDGET, Role.SERVICE)
    check_origin(key, request)
    if key.role is Role.WIDGET:
        state_of(request).widget_rates.take(key.id, peer_of(request))
    set_key(request, key)
    return key


def _most(key: Key) -> int | None:
    return MOST_WIDGET_SIGNALS if key.role is Role.WIDGET else None


async def _no_more_than(most: int | None, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    count = 0
    async for line in source:
        count += 1
        if most is not None and count > most:
            raise _too_many(most)
        yield line


def _too_many(most: int) -> ProblemError:
    return ProblemError(413, "payload-too-large", f"at most {most:,} signals in a request with this key")


async def _answer(request: Request, key: Key, signals: list[bytes]) -> Response:
    most = _most(key)
    if most is not None and len(signals) > most:
        raise _too_many(most)
    await _admit(request, key, signals)
    receipt = await _durable(request, await _handed_in(request, key, signals))
    pieces: list[bytes] = []
    turns = Turns()
    for at in range(0, len(receipt.outcomes), _READ_AT_ONCE):
        pieces.append(_encoded(receipt.outcomes[at : at + _READ_AT_ONCE], key))
        await turns.pass_on()
    return _json(pieces, _position(receipt, key))


async def _beacon(request: Request) -> Response:
    """What `sendBeacon` can send: the key is the first line, as it has no headers and URLs are logged.

    Until the key is proved, no more than its line is read.
    """
    too_long = ProblemError(
        413, "payload-too-large", f"a text/plain body has at most {MOST_BEACON_BYTES >> 10} KiB"
    )
    if int(request.headers.get("content-length") or 0) > MOST_BEACON_BYTES:
        raise too_long
    pieces = Reading(request, packed=False).text()
    body = bytearray()
    async for piece in pieces:
        body += piece
        if b"\n" in body or len(body) > _MOST_KEY_BYTES:
            break
    first, _, rest = body.partition(b"\n")
    try:
        text = msgspec.json.decode(first[: _MOST_KEY_BYTES + 1], type=dict[str, str])["key"]
    except (msgspec.MsgspecError, KeyError):
        raise malformed(None, 'the first line of a text/plain body is {"key": "ofl_widget_..."}') from None
    key = await _writer(request, text)
    async for piece in pieces:
        rest += piece
        if len(rest) > MOST_BEACON_BYTES:
            raise too_long
    await check_still_good(request, text)
    signals = [bytes(line) for line in rest.split(b"\n") if line.strip()]
    return await _answer(request, key, signals)


async def _stream(request: Request, key: Key, source: AsyncIterator[bytes]) -> Response:
    """Judge batch by batch while the rest is still coming."""
    judged = _judged(request, key, source)
    if "application/x-ndjson" in request.headers.get("accept", ""):
        first = await anext(
            judged, None
        )  # what is wrong with the body or the service is an error, not a line

        async def told() -> AsyncIterator[bytes]:
            if first is not None:
                yield _lines(first, key)
            async for receipt in judged:
                yield _lines(receipt, key)

        return StreamingResponse(told(), media_type="application/x-ndjson")
    pieces: list[bytes] = []
    size = count = 0
    position: int | None = None
    async for receipt in judged:
        pieces.append(_encoded(receipt.outcomes, key))
        size += len(pieces[-1])
        count += len(receipt.outcomes)
        if size > _MOST_ANSWER_BYTES:
            raise ProblemError(
                413,
                "payload-too-large",
                f"one JSON answer holds at most {_MOST_ANSWER_BYTES >> 20} MiB of outcomes: ask for"
                " Accept: application/x-ndjson, or send the signals in parts. At least the first"
                f" {count:,} are recorded; sending them again is safe",
            )
        position = _position(receipt, key) or position
    return _json(pieces, position)


async def _judged(request: Request, key: Key, source: AsyncIterator[bytes]) -> AsyncIterator[Receipt]:
    waiting: deque[Future[Receipt]] = deque()
    batch: list[bytes] = []
    size = 0
    async for line in source:
        batch.append(line)
        size += len(line)
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            waiting.append(await _submitted(request, key, batch))
            batch, size = [], 0
        if len(waiting) >= _IN_FLIGHT:
            yield await _durable(request, waiting.popleft())
    if batch:
        waiting.append(await _submitted(request, key, batch))
    while waiting:
        yield await _durable(request, waiting.popleft())


async def _durable(request: Request, future: "Future[Receipt]") -> Receipt:
    """Wait until a batch is durable, and note what became of it."""
    metrics = state_of(request).metrics
    receipt: Receipt = await metrics.timed(state_of(request).completions.wait_for(future))
    metrics.count(receipt.outcomes)
    signal_log.note(receipt.outcomes)
    key: Key = key_of(request)
    if key.role is Role.WIDGET and (refused := sum(map(is_refused_for_itself, receipt.outcomes))):
        state_of(request).widget_rates.charge(key.id, peer_of(request), refused)
    return receipt


async def _admit(request: Request, key: Key, signals: list[bytes]) -> None:
    """Let the signals of a widget key through unless they bring up too many new action maps."""
    if key.role is Role.WIDGET:
        await state_of(request).widget_maps.admit(key.organization, peer_of(request), signals)


async def _handed_in(request: Request, key: Key, signals: list[bytes]) -> "Future[Receipt]":
    """Hand in signals as one batch; many, or long ones, are read on a thread, as that takes long.

    Raises:
        Overloaded: Too much is waiting; nothing was taken.
    """

    def hand_in() -> "Future[Receipt]":
        future: Future[Receipt] = state_of(request).service.submit(
            signals, organization=key.organization, from_widget=key.role is Role.WIDGET
        )
        return future

    if len(signals) <= _READ_AT_ONCE and sum(map(len, signals)) <= _BYTES_READ_AT_ONCE:
        return hand_in()
    return await run_submission(request, hand_in)


async def _submitted(request: Request, key: Key, batch: list[bytes]) -> "Future[Receipt]":
    """Hand in a batch while the key is good; a stream waits where a single request would be sent away."""
    await _admit(request, key, batch)
    while True:
        await check_still_good(request)
        try:
            submitted = await _handed_in(request, key, batch)
        except OverloadedError as overloaded:
            await asyncio.sleep(overloaded.retry_after)
        else:
            return submitted


def _lines(receipt: Receipt, key: Key) -> bytes:
    return b"".join(encode_escaped(one) + b"\n" for one in _documents(receipt.outcomes, key))


def _documents(outcomes: Sequence[Outcome], key: Key) -> list[Document]:
    document = widget_outcome_document if key.role is Role.WIDGET else outcome_document
    return [document(one) for one in outcomes]


def _encoded(outcomes: Sequence[Outcome], key: Key) -> bytes:
    """Encode outcomes with commas between them."""
    return encode_escaped(_documents(outcomes, key))[1:-1]


def _position(receipt: Receipt, key: Key) -> int | None:
    """How far the log is; it tells of all organizations' traffic, so a widget's key does not learn it."""
    return None if key.role is Role.WIDGET else receipt.position


def _json(pieces: Sequence[bytes], position: int | None) -> Response:
    """Make the answer of outcomes that are encoded already, in pieces, as they may be many."""
    text = b'{"outcomes":[%b],"position":%b}' % (b",".join(pieces), encode_escaped(position))
    return Response(text, media_type="application/json")


@router.options("/v1/signals", include_in_schema=False)
async def allow_signals() -> Response:
    """A browser's question before it sends: the key, sent then, says whether this origin may."""
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": (
                "Authorization, Content-Type, Content-Encoding, Traceparent, Tracestate, X-Request-Id"
            ),
            "Access-Control-Max-Age": "600",
        },
    )
