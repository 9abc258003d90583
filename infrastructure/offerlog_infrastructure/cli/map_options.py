"""Action maps in options: by id, or by the newest known display name."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

MAP_METAVAR = "ID|NAME"
"""The name of the value of an option that takes an action map, in the help."""

ActionMap = Annotated[
    str, typer.Option("--action-map", metavar=MAP_METAVAR, help="The action map, by id or unique name.")
]
OnlyMaps = Annotated[
    list[str] | None,
    typer.Option(
        "--action-map", metavar=MAP_METAVAR, help="Only this map, by id or unique name; may be given again."
    ),
]


def find_map(service: "Offerlog", text: str) -> str:
    """Return the id of an action map.

    Raises:
        UnknownActionMapError: The text is not an id, and no map or more than one has it as its name.
    """
    (found,) = service.analysis.find_action_maps([text])
    return found


def find_optional_map(service: "Offerlog", text: str | None) -> str | None:
    """Return the id of an action map, as `find_map`; None stays None."""
    return None if text is None else find_map(service, text)
