"""Groups of options: a command takes several options as one parameter, a dataclass."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from offerlog_infrastructure.cli.opening import Access, open_service
from offerlog_infrastructure.cli.options import Data, KeyringFile, Organization

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog


def spread_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Turn each parameter of a command that is a dataclass into options, one for each field, in its place.

    The command line finds the options in the signature that the result shows. Annotations must be objects, as
    texts are not evaluated.
    """
    shown: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for one in inspect.signature(command).parameters.values():
        if isinstance(one.annotation, type) and is_dataclass(one.annotation):
            groups[one.name] = one.annotation
            shown += _options_of(one.annotation)
        else:
            shown.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def spread(**given: Any) -> None:
        built = {name: _build(group, given) for name, group in groups.items()}
        command(**given, **built)

    spread.__name__, spread.__doc__, spread.__module__ = command.__name__, command.__doc__, command.__module__
    spread.__annotations__ = {one.name: one.annotation for one in shown}
    spread.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined] # read by `inspect.signature`
    return spread


@cache
def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=one.type,
        )
        for one in fields(group)
    ]


def _build(group: type[Any], given: dict[str, Any]) -> Any:
    """Build a group from the options given, and take them out; others have their defaults."""
    return group(**{one.name: given.pop(one.name) for one in fields(group) if one.name in given})


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The options that name a store and an organization in it."""

    data: Data = None
    keyring: KeyringFile = None
    organization: Organization = None

    def open(self, access: Access = Access.READ, *, project: bool = True) -> "Offerlog":
        """Open the service of that store; the arguments and the errors are those of `open_service`."""
        return open_service(self.data, self.keyring, self.organization, access, project=project)
