"""Check of URLs: those that can be read in two ways, or have unknown parameters, are refused."""

from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.dependencies.models import Dependant

from offerlog_infrastructure.http.problems import ProblemError, malformed

_REPEATED: Final = frozenset({"action_map", "type"})


def _names_of(dependant: Dependant) -> Iterator[str]:
    """Yield the names of a route's query parameters, those of its dependencies too."""
    for field in dependant.query_params:
        yield field.alias
    for one in dependant.dependencies:
        yield from _names_of(one)


async def check_url(request: Request) -> None:
    """Check, as a dependency, that the URL is UTF-8 and that its query has known parameters, each once.

    Different bytes that are not UTF-8 would all name the same visitor. An unknown parameter is often a
    misspelt one: without its `customer_id_type`, for example, a look-up would answer for another visitor.

    Raises:
        ProblemError: 400, the URL is not of this form; 404, the path ends with a line feed.
    """
    if request.scope["path"].endswith("\n"):  # the framework's routes ignore a line feed at the end
        raise ProblemError("not-found", "Not Found")
    query: bytes = request.scope["query_string"]
    for part in (request.scope.get("raw_path", b""), query):
        if b"%" in part:
            try:
                unquote_to_bytes(part).decode()
            except UnicodeDecodeError:
                raise malformed(None, "what is percent-encoded in the URL is not UTF-8") from None
    if not query:
        return
    known = set(_names_of(request.scope["route"].dependant))
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            raise malformed(name[:256], f"is no parameter here; known: {', '.join(sorted(known))}")
        if times > 1 and name not in _REPEATED:
            raise malformed(name, "is given more than once")
