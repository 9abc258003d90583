"""POST /v1/signals: one signal, an array, or NDJSON of any length; each signal has its own outcome."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from offerlog_application.ports.keys import Key, Role
from offerlog_application.ports.positions import LogPosition, latest_position
from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.submissions import OverloadedError
from offerlog_domain.outcomes import Outcome
from offerlog_infrastructure.http.peers import peer_of
from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.access import (
    bearer,
    check_origin,
    check_role,
    check_still_valid,
    end_with_key,
    find_key,
)
from offerlog_infrastructure.http.requests.bodies import (
    JSON_TYPES,
    MAX_BYTES,
    BodyReader,
    lines,
    media_type,
    read_whole,
)
from offerlog_infrastructure.http.requests.json_arrays import split_signals
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.responses.pages import accepts_lines
from offerlog_infrastructure.http.responses.preflight import answer_preflight
from offerlog_infrastructure.http.state import key_of, set_key, state_of
from offerlog_infrastructure.http.threads.dispatch import run_submission
from offerlog_infrastructure.http.threads.turns import Turns
from offerlog_infrastructure.observability import signal_log
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.documents import describe_outcome, show_position
from offerlog_infrastructure.presentation.widget_outcomes import (
    describe_widget_outcome,
    is_refused_by_content,
)

router = APIRouter(tags=["signals"])

MAX_SIGNALS: Final = 10_000
"""Most signals of an array; NDJSON may have any number."""

MAX_WIDGET_SIGNALS: Final = 100
"""Most signals of a request with a widget key: the key is public, and its rate is counted in requests."""

MAX_WIDGET_BYTES: Final = 1 << 20
"""Most bytes of a body with a widget key, unpacked."""

MAX_BEACON_BYTES: Final = 64 << 10
"""Most bytes of a beacon; browsers allow no more."""

_MAX_KEY_BYTES: Final = 1 << 10
"""Most bytes of a beacon's first line."""

_READ_AT_ONCE: Final = 250
_BYTES_READ_AT_ONCE: Final = 256 << 10
"""Most signals, and bytes of signals, that are read on the event loop; more of them are read on threads."""

_BATCH: Final = 1_000
_BATCH_BYTES: Final = 1 << 20
"""Most lines, and bytes, of one batch of an NDJSON body. They bound the memory that the body takes up."""

_MAX_ANSWER_BYTES: Final = 32 << 20
"""Most bytes of outcomes in one JSON answer, some 200,000 outcomes. A streamed answer has any number."""

_IN_FLIGHT: Final = 4
"""Batches of one body that are being committed at the same time."""

_NDJSON_TYPES: Final = frozenset({"application/x-ndjson", "application/jsonl", "application/ndjson"})


@router.post(
    "/v1/signals",
    operation_id="recordSignals",
    summary="Record signals",
    response_model=None,
)
async def record_signals(request: Request) -> Response:
    """Record reports that actions reached states.

    The answer is 200 whenever the body could be read, with an outcome for each signal in order: recorded,
    duplicate, parked or refused. The answer is sent once all outcomes are durable. Sending the same signals
    again is safe.
    """
    kind = media_type(request)
    if kind == "text/plain":
        return await _answer_beacon(request)
    key = await _check_writer(request, bearer(request))
    if kind in _NDJSON_TYPES:
        most_bytes = MAX_WIDGET_BYTES if key.role is Role.WIDGET else None
        signal_lines = lines(end_with_key(request), most_bytes)
        return await _answer_lines(request, key, _limit(signal_lines, _most_signals(key)))
    if kind not in JSON_TYPES:
        raise ProblemError(
            "unsupported-media-type",
            f"{kind} is not understood: send application/json, application/x-ndjson or text/plain",
            field="Content-Type",
        )
    checked = end_with_key(request)
    if key.role is Role.WIDGET:
        body = await read_whole(checked, MAX_WIDGET_BYTES, advice="; send several")
    else:
        body = await read_whole(checked, MAX_BYTES, advice="; NDJSON may be longer")
    if not body.strip():
        raise malformed(None, "the body is empty")
    signals = await split_signals(body, _most_signals(key) or MAX_SIGNALS)
    if len(signals) > MAX_SIGNALS:
        raise ProblemError("payload-too-large", f"at most {MAX_SIGNALS:,} signals in an array; send NDJSON")
    return await _answer_array(request, key, signals)


async def _check_writer(request: Request, text: str | None) -> Key:
    """Return the key with this text, which must be allowed to send signals."""
    key = check_role(await find_key(request, text), Role.WIDGET, Role.SERVICE)
    check_origin(key, request)
    if key.role is Role.WIDGET:
        state_of(request).widget_rates.take(key.id, peer_of(request))
    set_key(request, key)
    return key


def _most_signals(key: Key) -> int | None:
    """Return the most signals of a request with this key; None for any number."""
    return MAX_WIDGET_SIGNALS if key.role is Role.WIDGET else None


async def _limit(source: AsyncIterator[bytes], most: int | None) -> AsyncIterator[bytes]:
    count = 0
    async for line in source:
        count += 1
        if most is not None and count > most:
            raise _too_many(most)
        yield line


def _too_many(most: int) -> ProblemError:
    return ProblemError("payload-too-large", f"at most {most:,} signals in a request with this key")


async def _answer_array(request: Request, key: Key, signals: list[bytes]) -> Response:
    most = _most_signals(key)
    if most is not None and len(signals) > most:
        raise _too_many(most)
    await _check_new_maps(request, key, signals)
    receipt = await _wait_until_durable(request, await _submit(request, key, signals))
    pieces: list[bytes] = []
    turns = Turns()
    for at in range(0, len(receipt.outcomes), _READ_AT_ONCE):
        pieces.append(_encode_outcomes(receipt.outcomes[at : at + _READ_AT_ONCE], key))
        await turns.pass_on()
    return _json_response(pieces, _shown_position(receipt, key))


async def _answer_beacon(request: Request) -> Response:
    """Answer a beacon: its key is on the first line, as `sendBeacon` has no headers and URLs are logged.

    Until the key is checked, nothing behind its line is read.
    """
    too_long = ProblemError(
        "payload-too-large", f"a text/plain body has at most {MAX_BEACON_BYTES >> 10} KiB"
    )
    if int(request.headers.get("content-length") or 0) > MAX_BEACON_BYTES:
        raise too_long
    pieces = BodyReader(request, may_be_packed=False).text()
    body = bytearray()
    async for piece in pieces:
        body += piece
        if b"\n" in body or len(body) > _MAX_KEY_BYTES:
            break
    first, _, rest = body.partition(b"\n")
    try:
        text = msgspec.json.decode(first[: _MAX_KEY_BYTES + 1], type=dict[str, str])["key"]
    except (msgspec.MsgspecError, KeyError):
        raise malformed(None, 'the first line of a text/plain body is {"key": "ofl_widget_..."}') from None
    key = await _check_writer(request, text)
    async for piece in pieces:
        rest += piece
        if len(rest) > MAX_BEACON_BYTES:
            raise too_long
    await check_still_valid(request, text)
    signals = [bytes(line) for line in rest.split(b"\n") if line.strip()]
    return await _answer_array(request, key, signals)


class _AnswerWhileReading(StreamingResponse):
    """A stream that is sent while its iterator still reads the body of the request.

    The framework's own listens for a disconnect meanwhile, and so takes pieces of the body away.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream. The reading of the body notices a disconnect."""
        del scope, receive
        await self.stream_response(send)


async def _answer_lines(request: Request, key: Key, source: AsyncIterator[bytes]) -> Response:
    """Record an NDJSON body batch by batch while the rest of it arrives."""
    receipts = _record_batches(request, key, source)
    if accepts_lines(request):
        # A fault of the body or of the service is an error of the request, as long as no line has been sent.
        first = await anext(receipts, None)

        async def outcome_lines() -> AsyncIterator[bytes]:
            if first is not None:
                yield _encode_lines(first, key)
            async for receipt in receipts:
                yield _encode_lines(receipt, key)

        return _AnswerWhileReading(outcome_lines(), media_type="application/x-ndjson")
    pieces: list[bytes] = []
    size = count = 0
    position: LogPosition | None = None
    async for receipt in receipts:
        pieces.append(_encode_outcomes(receipt.outcomes, key))
        size += len(pieces[-1])
        count += len(receipt.outcomes)
        if size > _MAX_ANSWER_BYTES:
            raise ProblemError(
                "payload-too-large",
                f"one JSON answer holds at most {_MAX_ANSWER_BYTES >> 20} MiB of outcomes: ask for"
                " Accept: application/x-ndjson, or send the signals in parts. At least the first"
                f" {count:,} are recorded; sending them again is safe",
            )
        position = latest_position((position, _shown_position(receipt, key)))
    return _json_response(pieces, position)


async def _record_batches(request: Request, key: Key, source: AsyncIterator[bytes]) -> AsyncIterator[Receipt]:
    """Yield the receipt of each batch once it is durable, at most `_IN_FLIGHT` batches behind the body."""
    waiting: deque[PendingAnswer[Receipt]] = deque()
    batch: list[bytes] = []
    size = 0
    async for line in source:
        batch.append(line)
        size += len(line)
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            waiting.append(await _submit_batch(request, key, batch))
            batch, size = [], 0
        if len(waiting) >= _IN_FLIGHT:
            yield await _wait_until_durable(request, waiting.popleft())
    if batch:
        waiting.append(await _submit_batch(request, key, batch))
    while waiting:
        yield await _wait_until_durable(request, waiting.popleft())


async def _wait_until_durable(request: Request, pending: PendingAnswer[Receipt]) -> Receipt:
    """Wait until a batch is durable; count and log its outcomes."""
    state = state_of(request)
    receipt = await state.metrics.time_commit(state.completions.wait_for(pending))
    state.metrics.count(receipt.outcomes)
    signal_log.log_outcomes(receipt.outcomes)
    key = key_of(request)
    if key.role is Role.WIDGET and (refused := sum(map(is_refused_by_content, receipt.outcomes))):
        state.widget_rates.charge(key.id, peer_of(request), refused)
    return receipt


async def _check_new_maps(request: Request, key: Key, signals: list[bytes]) -> None:
    """Refuse signals with a widget key that name too many new action maps."""
    if key.role is Role.WIDGET:
        await state_of(request).widget_maps.admit(key.organization, peer_of(request), signals)


async def _submit(request: Request, key: Key, signals: list[bytes]) -> PendingAnswer[Receipt]:
    """Submit signals as one batch; many or long ones are read on a thread, as that takes long.

    Raises:
        OverloadedError: Too many signals are waiting; none of these was accepted.
    """
    service = state_of(request).service

    def submit() -> PendingAnswer[Receipt]:
        return service.hand_in(signals, organization=key.organization, from_widget=key.role is Role.WIDGET)

    if len(signals) <= _READ_AT_ONCE and sum(map(len, signals)) <= _BYTES_READ_AT_ONCE:
        return submit()
    return await run_submission(request, submit)


async def _submit_batch(request: Request, key: Key, batch: list[bytes]) -> PendingAnswer[Receipt]:
    """Submit a batch of a stream while its key is good; wait where a single request would be refused."""
    await _check_new_maps(request, key, batch)
    while True:
        await check_still_valid(request)
        try:
            return await _submit(request, key, batch)
        except OverloadedError as overloaded:
            await asyncio.sleep(overloaded.retry_after)


def _encode_lines(receipt: Receipt, key: Key) -> bytes:
    return b"".join(encode_escaped(one) + b"\n" for one in _describe_outcomes(receipt.outcomes, key))


def _describe_outcomes(outcomes: Sequence[Outcome], key: Key) -> list[answers.Outcome]:
    describe = describe_widget_outcome if key.role is Role.WIDGET else describe_outcome
    return [describe(one) for one in outcomes]


def _encode_outcomes(outcomes: Sequence[Outcome], key: Key) -> bytes:
    """Encode outcomes with commas between them."""
    return encode_escaped(_describe_outcomes(outcomes, key))[1:-1]


def _shown_position(receipt: Receipt, key: Key) -> LogPosition | None:
    """Return the log position; None for a widget key, as the position reveals the traffic of others."""
    return None if key.role is Role.WIDGET else receipt.position


def _json_response(pieces: Sequence[bytes], position: LogPosition | None) -> Response:
    """Build the answer from encoded outcomes, which come in pieces because there may be many."""
    shown = None if position is None else show_position(position)
    text = b'{"outcomes":[%b],"position":%b}' % (b",".join(pieces), encode_escaped(shown))
    return Response(text, media_type="application/json")


@router.options("/v1/signals", include_in_schema=False)
async def allow_signals() -> Response:
    """Answer a browser's preflight request; the key, sent later, decides whether the origin is allowed."""
    return answer_preflight(
        "Authorization, Content-Type, Content-Encoding, Traceparent, Tracestate, X-Request-Id"
    )
