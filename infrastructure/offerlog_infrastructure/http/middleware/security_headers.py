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
_ANY_ORIGIN: Final = (
    (
        b"cross-origin-resource-policy",
        b"cross-origin",
    ),  # without it, browsers report an error for each beacon
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
)
_NAMES: Final = frozenset(name for name, _ in _HEADERS)
_FOR_PAGES: Final = (*_ANY_ORIGIN, *(one for one in _HEADERS if one[0] not in dict(_ANY_ORIGIN)))
_PATHS_OF_PAGES: Final = frozenset({"/v1/signals", "/v1/offers"})


class SecurityHeaders:
    """Adds security headers to every answer that does not set them itself.

    Any page may read the answers to its signals and requests for offers, errors too. Its key or visitor token
    decides whether the page may send them; a browser adds neither by itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                added = _FOR_PAGES if scope["path"] in _PATHS_OF_PAGES else _HEADERS
                names = {name for name, _ in headers}
                if names.isdisjoint(_NAMES):
                    headers += added
                else:
                    headers += [one for one in added if one in _ANY_ORIGIN or one[0] not in names]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
