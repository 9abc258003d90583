"""Answers for HTTP/1.0 clients, which do not know chunks (RFC 9112, section 6.1)."""

import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def without_chunks(app: ASGIApp) -> ASGIApp:
    """The application, but an answer of unknown length is sent as it is and ends with the connection.

    The server would send it in chunks whatever the client speaks. It sends plain bytes where it takes the
    length for known; so it is given the longest one at first, and the true one with the last piece.
    """

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        cycle = getattr(send, "__self__", None)
        of_unknown_length = False

        async def plain(message: Message) -> None:
            nonlocal of_unknown_length
            if isinstance(cycle, RequestResponseCycle):
                if message["type"] == "http.response.start":
                    names = {name.lower() for name, _ in message.get("headers", ())}
                    of_unknown_length = b"content-length" not in names
                    if of_unknown_length:
                        cycle.chunked_encoding, cycle.expected_content_length = False, sys.maxsize
                elif of_unknown_length and not message.get("more_body", False):
                    cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, plain)

    return served
