"""The counts of all shards for those who follow them, also while a slice moves."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from offerlog_application.ports.positions import SHARD_BITS
from offerlog_application.ports.read_models import Proof
from offerlog_application.projections.counted import Counted, find_changes
from offerlog_application.sharding.ports_of_all import AllChanges
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.identity import ActionMapId

_COUNTS: Final = "performance"


class CountsOfShards:
    """The `FollowedCounts` of several shards; thread-safe.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._changes = AllChanges(router)

    def read(self) -> Counted:
        """Return what the counts of all shards show now, and the slices that each had before.

        Raises:
            ShardUnavailableError: A shard cannot be reached.
        """
        shards = self._router.all()
        held = self._router.read_held(shards)
        return Counted([_own(one, self._router.ask(one, _read_proof)) for one in shards], held)

    def changed_maps(self, before: Counted, after: Counted) -> Mapping[str, set[ActionMapId]] | None:
        """Return the action maps whose counts have changed between two moments, by organization.

        None means that any map may have changed, also because a slice has moved meanwhile: its events are not
        in the log any more of the shard that has counted them.

        Raises:
            ShardUnavailableError: A shard cannot be reached.
        """
        found = find_changes(self._changes, before, after)
        has_moved = before.held != self._router.read_held(self._router.all())
        return None if has_moved else found


def _read_proof(shard: Shard) -> Proof:
    return shard.store.proofs.proof(_COUNTS)


def _own(shard: Shard, proof: Proof) -> Proof:
    """Return a proof with a position of its shard, also if nothing is counted yet."""
    return replace(proof, position=max(proof.position, shard.number << SHARD_BITS))
