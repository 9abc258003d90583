"""Headers of requests, as the server has left them."""

from starlette.requests import HTTPConnection


def find_header(connection: HTTPConnection, name: bytes) -> str | None:
    """Return the first header with a name; None without one.

    The framework's own mapping builds objects and an exception for each header that is missing.

    Args:
        connection: The request.
        name: The name in lower case, as ASGI has all names.
    """
    for known, value in connection.scope["headers"]:
        if known == name:
            text: str = value.decode("latin-1")
            return text
    return None
