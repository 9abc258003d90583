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
        shards: Numbers of the shards that have drawn its first and its last position; none in an empty log.
        policies: The policies of action maps that give some state an end.
        keys: The keys of its organizations; None if the keyring cannot open one.
    """

    owned: frozenset[int]
    held: Mapping[tuple[int, str], int]
    shards: frozenset[int]
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
            if directory[one] != number:
                yield f"shard {number} holds {kind} of slice {one:x}, which it does not have: {count:,}"
        if content.shards - {number}:
            yield f"shard {number} has positions of another shard"
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
