"""Security headers on every answer."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),
)
_OPEN: Final = (
    (b"cross-origin-resource-policy", b"cross-origin"),  # else browsers report an error for each beacon
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
)


class SecurityHeaders:
    """Security headers on every answer that has none of its own.

    Any page may read what becomes of its signals, errors too: whether it may send them, the key says.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                named = {name for name, _ in headers}
                if scope["path"] == "/v1/signals":
                    headers += _OPEN
                    named |= {name for name, _ in _OPEN}
                headers += [header for header in _HEADERS if header[0] not in named]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
