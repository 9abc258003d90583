"""URLs that could be read in two ways, or say what nobody reads, are refused."""

from collections import Counter
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import Request

from offerlog_infrastructure.http.problems import ProblemError, malformed

_REPEATED: Final = frozenset({"action_map"})


async def said_plainly(request: Request) -> None:
    """A dependency: hold the URL to UTF-8, and its query to parameters of this route, each given once.

    Bytes that are no text would all be read as one and the same visitor. A parameter that nobody reads is one
    misspelt: without its `customer_id_type`, say, a look-up would answer for someone else.

    Raises:
        Problem: It is not so.
    """
    if request.scope["path"].endswith("\n"):  # the framework's routes match a line feed at the end as well
        raise ProblemError(404, "not-found", "Not Found")
    query: bytes = request.scope["query_string"]
    for part in (request.scope.get("raw_path", b""), query):
        if b"%" in part:
            try:
                unquote_to_bytes(part).decode()
            except UnicodeDecodeError:
                raise malformed(None, "what is percent-encoded in the URL is not UTF-8") from None
    if not query:
        return
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            raise malformed(name[:256], f"is no parameter here; known: {', '.join(sorted(known))}")
        if times > 1 and name not in _REPEATED:
            raise malformed(name, "is given more than once")
