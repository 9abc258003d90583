"""Lines divided among processes by visitor: those of one visitor go to one process, in their order."""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from offerlog_domain.customers_of_texts import find_customers_in_text
from offerlog_domain.signals import COOKIE

if TYPE_CHECKING:
    from offerlog_infrastructure.cli.lines import Line


class _Customer(msgspec.Struct, rename="camel"):
    """The fields of a visitor, which both wire forms have at the top. Their values may have any type."""

    customer_id: Any = None
    customer_id_type: Any = None


_decode = msgspec.json.Decoder(_Customer).decode


def divide_lines(lines: "Sequence[Line]", count: int) -> list[list[int]]:
    """Return the places of the lines for each of several processes, in their order.

    Args:
        lines: The lines of a batch.
        count: The number of processes.
    """
    parts: list[list[int]] = [[] for _ in range(count)]
    for place, line in enumerate(lines):
        parts[choose_process(line.text, count)].append(place)
    return parts


def choose_process(text: bytes, count: int) -> int:
    """Return the number of the process for a line, from 0: the same for all lines of a visitor.

    A line that is not JSON goes by the customer whom it seems to name, else by its own text: it is refused.
    """
    try:
        found = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        who = min(find_customers_in_text(text), default=("", text.decode("utf-8", "replace")))
    else:
        who = (str(found.customer_id_type or COOKIE), str(found.customer_id))
    return zlib.crc32("\0".join(who).encode("utf-8", "surrogatepass")) % count
