"""Action maps as people name them: by id, or by the newest known display name."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

from offerlog_application.ports.read_side import PerformanceSource
from offerlog_domain.errors import OfferlogError
from offerlog_domain.identity import ActionMapId, parse_action_map_id
from offerlog_domain.signals import MalformedSignalError

_NAMES_READ: Final = 300
"""Number of names that are read to propose one."""

_LONGEST_COMPARED: Final = 48
"""Characters of a text for which a name is proposed: a comparison may take the square of the length."""

_NAMES_SHOWN: Final = 5


class UnknownActionMapError(OfferlogError, ValueError):
    """A text is neither the id of an action map nor the name of exactly one.

    Attributes:
        text: The text.
        cause: The fault and what to give instead, as the end of a sentence that begins with the text.
    """

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text, cause)
        self.text = text
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.text!r} {self.cause}"


def find_action_maps(
    source: PerformanceSource, organization: str, texts: Sequence[str]
) -> tuple[ActionMapId, ...]:
    """Return the action maps with these ids or newest display names, in order.

    An id is taken as it is, whether it is known or not.

    Raises:
        UnknownActionMapError: A text is not an id, and no map or more than one has it as its name.
    """
    return tuple(_find_action_map(source, organization, text) for text in texts)


def _find_action_map(source: PerformanceSource, organization: str, text: str) -> ActionMapId:
    try:
        return parse_action_map_id(text)
    except MalformedSignalError:
        found = source.maps_named(organization, text)
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:_NAMES_SHOWN])
        more = " and more" if len(found) > _NAMES_SHOWN else ""
        raise UnknownActionMapError(text, f"is the name of several action maps: give the id, {shown}{more}")
    raise UnknownActionMapError(
        text, f"is neither the id nor the name of an action map{_hint(source, organization, text)}"
    )


def _hint(source: PerformanceSource, organization: str, text: str) -> str:
    """Propose the known name that is most like a text. Names come from pages, which anybody may load."""
    if len(text) > _LONGEST_COMPARED:
        return ""
    known = {
        name
        for _, name in islice(source.action_maps(organization), _NAMES_READ)
        if name is not None and len(name) <= _LONGEST_COMPARED
    }
    close = get_close_matches(text, known, 1)
    return f": did you mean {close[0]!r}?" if close else ""
