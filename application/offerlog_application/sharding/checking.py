"""Checks that the stores of an installation are of one piece: each visitor on one, under one secret."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from offerlog_application.ports.shards import HOME
from offerlog_domain.identity import OrganizationKey


class StoreContent(NamedTuple):
    """The content of a store, as far as several stores must agree.

    Attributes:
        owned: The slices that it owns.
        held: Number of rows by slice and kind of row.
        leaving: The slices that were moved away and whose rows are still there, with the shard that has them.
        recorded: Number of events by the shard that has recorded them.
        policies: The policies of action maps that give some state an end.
        keys: The keys of its organizations; None if the keyring cannot open one.
    """

    owned: frozenset[int]
    held: Mapping[tuple[int, str], int]
    leaving: Mapping[int, int]
    recorded: Mapping[int, int]
    policies: Mapping[tuple[str, object], object]
    keys: Mapping[str, OrganizationKey] | None


def find_faults(contents: Mapping[int, StoreContent], directory: Mapping[int, int]) -> Iterator[str]:
    """Yield what is wrong among the stores of an installation, in words.

    Args:
        contents: The content of each store, by number of the shard.
        directory: The shard of each slice, by the directory.
    """
    for one, shard in sorted(directory.items()):
        owners = [number for number, content in sorted(contents.items()) if one in content.owned]
        if owners != [shard]:
            shown = " and ".join(map(str, owners)) or "none"
            yield f"slice {one:x}: the directory gives it to shard {shard}, and its owner is {shown}"
    for number, content in sorted(contents.items()):
        for (one, kind), count in sorted(content.held.items()):
            if one in content.leaving:
                target = content.leaving[one]
                yield (
                    f"slice {one:x} was moved to shard {target}, and shard {number} still has its {kind}:"
                    f" {count:,}; the move has not ended"
                )
            elif directory[one] != number:
                yield f"shard {number} holds {kind} of slice {one:x}, which it does not have: {count:,}"
        for recorder in sorted(content.recorded.keys() - contents.keys()):
            count = content.recorded[recorder]
            yield f"shard {number} holds events of the log of shard {recorder}, which there is not: {count:,}"
        if content.policies != contents[HOME].policies:
            yield f"shard {number} has other policies of action maps than the home: set them again"
        yield from _find_foreign_secrets(number, content.keys, contents[HOME].keys)


def _find_foreign_secrets(
    number: int, keys: Mapping[str, OrganizationKey] | None, of_home: Mapping[str, OrganizationKey] | None
) -> Iterator[str]:
    if keys is None or of_home is None:
        yield f"shard {number}: the keyring cannot open every secret of an organization"
        return
    for organization, key in sorted(keys.items()):
        other = of_home.get(organization)
        if other is None or not other.has_secret_of(key):
            yield f"shard {number} has another secret of the organization {organization!r} than the home"
