"""Ports whose answers add up over all shards, and those that only the home has."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.organizations import OrganizationContent
from offerlog_application.ports.positions import SHARD_BITS, LogPosition, by_shard, latest_position
from offerlog_application.ports.projections import UnknownProjectionError
from offerlog_application.ports.read_models import DeadLetter, Proof, RefusalCounts, StoredKind
from offerlog_application.ports.rebuilds import RebuildProgress, name_shard
from offerlog_application.ports.shards import ShardUnavailableError
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.action_map_policies import ActionMapPolicy
from offerlog_domain.errors import OfferlogError
from offerlog_domain.identity import ActionMapId
from offerlog_domain.outcomes import Reason
from offerlog_domain.service_events import ActionMapPolicySet


class AddedRefusals:
    """The application's `RefusalCounter` over several shards; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def counts(self, organization: str, since: datetime | None, until: datetime | None) -> RefusalCounts:
        """Count the refusals by reason on all shards."""
        found = self._router.ask_all(
            lambda shard: shard.store.refusal_counts.counts(organization, since, until)
        )
        added: Counter[Reason] = Counter()
        for one in found:
            added.update(one.counts)
        return RefusalCounts(found[0].since, found[0].until, dict(added.most_common()))

    def fold_step(self) -> bool:
        """Add some tallies to the counts on each shard."""
        return any(self._router.ask_each(lambda shard: shard.store.refusal_counts.fold_step()))


class AllProjections:
    """The application's `Proofs`, `DeadLetters` and `Rebuilds` over several shards; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def proof(self, projection: str) -> Proof:
        """Return the proof of a projection over all shards: numbers and digests add up, also after a move.

        No two shards draw the same position, so the sum of squares stands for the events of all.
        """
        found = self._router.ask_all(lambda shard: shard.store.proofs.proof(projection))
        return Proof(
            projection,
            latest_position(one.position for one in found) or 0,
            sum(one.events for one in found),
            str(sum(int(one.digest) for one in found)),
            sum(one.short_by for one in found),
            sum(one.edition for one in found),
        )

    def verify(self, projection: str | None = None) -> Sequence[Proof]:
        """Compare the proofs of each shard with its log; the names end with `@` and its number."""
        return [
            replace(one, projection=f"{one.projection}@{shard.number}")
            for shard in self._router.all()
            for one in self._router.ask(shard, lambda asked: asked.store.proofs.verify(projection))
        ]

    def all(self) -> Sequence[DeadLetter]:
        """Return the dead letters of all shards."""
        found = self._router.ask_all(lambda shard: shard.store.dead_letters.all())
        return [one for letters in found for one in letters]

    def short_by(self, projection: str, organization: str, action_maps: Sequence[str] = ()) -> int:
        """Count the dead-letter events of these maps on all shards."""
        return sum(
            self._router.ask_all(
                lambda shard: shard.store.dead_letters.short_by(projection, organization, action_maps)
            )
        )

    def retry(self) -> int:
        """Apply the waiting events of all shards again."""
        return sum(self._router.ask_each(lambda shard: shard.store.dead_letters.retry()))

    def rebuild(
        self,
        name: str | None,
        *,
        on_progress: Callable[[RebuildProgress], None],
        accept_difference: bool,
        swap: bool,
    ) -> None:
        """Build one projection, or all, on one shard after the other.

        What was built on the shards before one that fails stays. Progress and errors name the shard.

        Raises:
            OfferlogError: As where there is one store.
        """
        for shard in self._router.all():
            show = name_shard(on_progress, shard.number)

            def build(one: Shard, show: Callable[[RebuildProgress], None] = show) -> None:
                one.store.rebuilds.rebuild(
                    name, on_progress=show, accept_difference=accept_difference, swap=swap
                )

            try:
                self._router.ask(shard, build)
            except (ShardUnavailableError, UnknownProjectionError):
                raise
            except OfferlogError as error:
                error.args = (f"shard {shard.number}: {error}",)  # the class says what it means, and is kept
                raise


class AllKinds:
    """The application's `EventKinds` over several shards; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def stored_kinds(self) -> Sequence[StoredKind]:
        """Return the kinds of events of each shard; the names end with `@` and its number."""
        found = self._router.ask_each(
            lambda shard: [(shard.number, one) for one in shard.store.kinds.stored_kinds()]
        )
        return [replace(one, topic=f"{one.topic}@{number}") for kinds in found for number, one in kinds]


class AddedOrganizations:
    """The application's `Organizations` over several shards: the home knows them all; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def names(self) -> Sequence[str]:
        """List all organizations that the home knows, sorted: all that have a secret or a key.

        A deleted one of which nothing is left but counts of other shards is in `names_with_signals` alone. So
        a shard that is down keeps nobody from working for an organization.
        """
        return self._router.home.store.organizations.names()

    def contents(self) -> Sequence[OrganizationContent]:
        """Count what all shards hold of each organization, sorted by name; keys are on the home."""
        added: dict[str, OrganizationContent] = {}
        for found in self._router.ask_all(lambda shard: shard.store.organizations.contents()):
            for one in found:
                known = added.get(one.name, OrganizationContent(one.name, 0, 0, 0))
                added[one.name] = OrganizationContent(
                    one.name,
                    known.visitors + one.visitors,
                    known.refusals + one.refusals,
                    known.keys + one.keys,
                )
        return [added[name] for name in sorted(added)]

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations with signals on some shard; sorted."""
        found = self._router.ask_all(lambda shard: shard.store.organizations.names_with_signals())
        return sorted({name for names in found for name in names})

    def register(self, organization: str) -> None:
        """Make an organization known at the home; a shard learns of it with its first signal."""
        self._router.home.store.organizations.register(organization)


class AllPolicies:
    """The application's `PolicyStore` over several shards: each has a copy; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def put_policy(self, event: ActionMapPolicySet) -> int | None:
        """Put a policy in force on every shard, on the home last: so it is in force everywhere then.

        Of two calls at once, the one that comes last to the home counts on every shard.

        Raises:
            ShardUnavailableError: A shard cannot be reached. It may be in force on others: put it again.
        """
        home, *others = self._router.all()
        self._put_on(others, event)
        position = self._router.ask(home, lambda one: one.store.policies.put_policy(event))
        in_force = event.policy
        while True:  # another call may have put another one meanwhile, in another order
            self._put_on(others, event.with_policy(in_force))
            found = self.find_policy(event.organization, event.action_map_id)
            if found == in_force:
                return position
            in_force = found

    def _put_on(self, shards: Sequence[Shard], event: ActionMapPolicySet) -> None:
        for shard in shards:
            self._router.ask(shard, lambda one: one.store.policies.put_policy(event))

    def delete_policies(self, organization: str) -> None:
        """Delete the rows of policies that give no state an end, on every shard."""
        self._router.ask_each(lambda shard: shard.store.policies.delete_policies(organization))

    def find_policy(self, organization: str, action_map_id: UUID) -> ActionMapPolicy:
        """Return the policy of an action map that is in force, as the home has it."""
        return self._router.home.store.policies.find_policy(organization, action_map_id)

    def all_policies(self, organization: str) -> Mapping[UUID, ActionMapPolicy]:
        """Return the policies of an organization that are in force, as the home has them."""
        return self._router.home.store.policies.all_policies(organization)


class AllChanges:
    """The application's `Changes` over several shards; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def changed_maps(
        self, behind: LogPosition, position: LogPosition
    ) -> Mapping[str, set[ActionMapId]] | None:
        """Return the action maps of the events behind a position, as far as their shards still have them.

        Whoever asks compares the slices that each shard has, before and afterwards: what has moved away
        meanwhile is not found.

        Raises:
            ShardUnavailableError: A shard cannot be reached.
        """
        begins, changed = by_shard(behind), dict[str, set[ActionMapId]]()
        for number, end in by_shard(position).items():
            begin = begins.get(number, number << SHARD_BITS)
            if begin == end:
                continue
            found = self._router.ask(self._router.get(number), _changes_reader(begin, end))
            if found is None:
                return None
            for organization, maps in found.items():
                changed.setdefault(organization, set()).update(maps)
        return changed

    def known_maps(self, organization: str, action_maps: Collection[ActionMapId]) -> set[ActionMapId]:
        """Return the action maps among these of which some shard has events or blocked offers.

        Ends at the first shards that know them all, so one that is down does not matter to known maps.

        Raises:
            ShardUnavailableError: A shard cannot be reached, and the others do not know all of the maps.
            SliceInMotionError: Likewise, of a slice that has been on its way for some seconds.
        """
        known: set[ActionMapId] = set()
        error: ShardUnavailableError | None = None
        for number in self._router.newest_map().numbers:
            try:
                known |= self._router.ask(
                    self._router.get(number),
                    lambda shard: shard.store.changes.known_maps(organization, action_maps),
                )
            except ShardUnavailableError as unavailable:
                error = unavailable
            if known.issuperset(action_maps):
                return known
        if error is not None:
            raise error
        # A slice that has moved from a shard that was not asked yet to one that was asked is overlooked.
        found = self._router.ask_all(lambda shard: shard.store.changes.known_maps(organization, action_maps))
        return known.union(*found)


def _changes_reader(begin: int, end: int) -> Callable[[Shard], Mapping[str, set[ActionMapId]] | None]:
    return lambda shard: shard.store.changes.changed_maps(begin, end)
