"""Answers to HTTP/1.0 clients, which do not know chunks (RFC 9112, section 6.1)."""

import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def without_chunks(app: ASGIApp) -> ASGIApp:
    """Wrap the application: an answer of unknown length is sent without chunks and ends with the connection.

    The server sends chunks whatever version the client speaks, unless it takes the length for known. So this
    wrapper sets the greatest length at first, and the true length with the last piece.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        cycle = getattr(send, "__self__", None)
        is_length_unknown = False

        async def send_plain(message: Message) -> None:
            nonlocal is_length_unknown
            if isinstance(cycle, RequestResponseCycle):
                if message["type"] == "http.response.start":
                    names = {name.lower() for name, _ in message.get("headers", ())}
                    is_length_unknown = b"content-length" not in names
                    if is_length_unknown:
                        cycle.chunked_encoding, cycle.expected_content_length = False, sys.maxsize
                elif is_length_unknown and not message.get("more_body", False):
                    cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_plain)

    return serve
