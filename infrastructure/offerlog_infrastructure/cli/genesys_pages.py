"""Pages of the vendor's session events, as a client has saved them: JSON documents with `entities`.

`GET /api/v2/journey/sessions/{sessionId}/events` answers with such pages. A file holds one or many of them.
"""

import gzip
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import parse_qs, urlsplit

from offerlog_domain.block_signals import BLOCKED_EVENT_TYPES
from offerlog_domain.errors import OfferlogError
from offerlog_domain.wire import STORED_FORM_EVENT_TYPES
from offerlog_infrastructure.cli.lines import STDIN

MAX_PAGE: Final = 16 << 20
"""Most characters of one page. The vendor's pages have 200 entities at most, of some kilobytes each."""

_READ: Final = 1 << 18
_GZIP_MAGIC: Final = b"\x1f\x8b"
_LONGEST_TYPE: Final = 100
_GIVE: Final = "give pages as the vendor's API answers them"
_EVENT_TYPE: Final = "eventType"
_KEPT: Final[Mapping[str, Any]] = {
    "id": None,
    _EVENT_TYPE: None,
    "createdDate": None,
    "customerId": None,
    "customerIdType": None,
    "session": {"id": None},
    "webActionEvent": {
        "action": {"id": None, "state": None, "mediaType": None},
        "actionMap": {"id": None, "version": None, "displayName": None},
        "errorCode": None,
        "errorMessage": None,
    },
    "blockedWebActionOfferEvent": {
        "action": {"id": None, "mediaType": None},
        "actionMap": {"id": None, "version": None},
        "blockingReason": None,
    },
}
"""The fields of an entity that a signal has. The rest is left out before anything is stored: browser, device,
place, address and pages of a visitor."""


class NotPagesError(OfferlogError):
    """A file holds something else than pages; its pages before that are recorded."""


@dataclass(frozen=True, slots=True)
class GenesysPage:
    """A page.

    Attributes:
        place: The file and the number of the page in it, from 1, for people.
        digest: SHA-256 of its text, in hexadecimal digits.
        signals: Its web action events and blocked offers, as they came but for fields that no signal has.
        others: How many other events it has, by type.
        behind: The vendor's cursor to what follows (`after`); None on the last page.
    """

    place: str
    digest: str
    signals: Sequence[Mapping[str, Any]]
    others: Mapping[str, int]
    behind: str | None


def read_pages(path: Path) -> Iterator[GenesysPage]:
    """Yield the pages of a file, plain or packed with gzip; `-` is standard input.

    At most `MAX_PAGE` characters of it are in memory.

    Raises:
        NotPagesError: It holds something else.
        OSError: It cannot be read.
    """
    name = "standard input" if path == STDIN else str(path)
    with _open(path) as file:
        number = 0
        try:
            for number, (text, document) in enumerate(_split(file), 1):
                yield _read_page(f"{name}, page {number}", text, document)
        except _NotPageError as fault:
            place = fault.number or number
            before = ". The pages before it are recorded" * (place > 1)
            raise NotPagesError(f"{name}, page {place}: {fault}{before}") from None
        except UnicodeDecodeError:
            raise NotPagesError(
                f"{name}: behind page {number} it is not UTF-8. The pages before are recorded"
            ) from None
        except (EOFError, zlib.error) as error:
            raise OSError(f"{name}: it breaks off behind page {number} ({error})") from error
    if not number:
        raise NotPagesError(f"{name}: it is empty; {_GIVE}")


class _NotPageError(OfferlogError, ValueError):
    """A text is not a page.

    Attributes:
        number: The number of the page, from 1; 0 for the one that has just been read.
    """

    def __init__(self, words: str, number: int = 0) -> None:
        super().__init__(words)
        self.number = number


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    with sys.stdin.buffer if path == STDIN else path.open("rb") as file:
        packed: Any = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)
        is_packed = packed.peek(2)[:2] == _GZIP_MAGIC
        yield io.TextIOWrapper(gzip.GzipFile(fileobj=packed) if is_packed else packed, "utf-8-sig")


def _split(file: TextIO) -> Iterator[tuple[str, Any]]:
    """Split a text into JSON documents: on lines, over several lines, or one directly behind the other."""
    decode, text, number, is_over = json.JSONDecoder().raw_decode, "", 1, False
    while not is_over:
        more = file.read(_READ)
        is_over, text = not more, text + more
        while text := text.lstrip(" \t\r\n"):
            try:
                document, end = decode(text)
            except RecursionError:
                raise _NotPageError("it is nested too deeply", number) from None
            except ValueError as error:
                if not is_over and len(text) <= MAX_PAGE:
                    break  # the document may go on in what is read next
                why = (
                    f"it is not JSON ({error})"
                    if is_over
                    else f"it is longer than {MAX_PAGE >> 20} Mi characters"
                )
                raise _NotPageError(why, number) from None
            yield text[:end], document
            text, number = text[end:], number + 1


def _read_page(place: str, text: str, document: Any) -> GenesysPage:
    """Read one page, and leave out what no signal has.

    Raises:
        _NotPageError: It is not a page.
    """
    entities = document.get("entities") if isinstance(document, dict) else None
    if not isinstance(entities, list):
        raise _NotPageError(f"it has no list `entities`; {_GIVE}")
    others: Counter[str] = Counter()
    signals = []
    for one in entities:
        kind = one.get(_EVENT_TYPE) if isinstance(one, dict) else None
        if isinstance(kind, str) and kind not in STORED_FORM_EVENT_TYPES | BLOCKED_EVENT_TYPES:
            others[kind[:_LONGEST_TYPE]] += 1
        else:
            signals.append(_keep(one, _KEPT))
    return GenesysPage(place, sha256(text.encode()).hexdigest(), signals, others, _find_cursor(document))


def _keep(value: Any, kept: Mapping[str, Any] | None) -> Any:
    """Return a value with the fields that are kept alone; another type stays, to be refused."""
    if kept is None or not isinstance(value, dict):
        return value
    return {name: _keep(value[name], inner) for name, inner in kept.items() if name in value}


def _find_cursor(page: Mapping[str, Any]) -> str | None:
    """Return the cursor to the next page: the parameter `after` of `nextUri`, or the one in `cursors`."""
    following, cursors = page.get("nextUri"), page.get("cursors")
    if isinstance(following, str):
        return next(iter(parse_qs(urlsplit(following).query).get("after", ())), None)
    found = cursors.get("after") if isinstance(cursors, dict) else page.get("after")
    return found if isinstance(found, str) and found else None
