"""The keys of the keyring over several shards, which share it: no key goes that any of them needs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from offerlog_application.access.rotation import retire_key, rotate_keys
from offerlog_application.ports.keyring import Keyring
from offerlog_application.ports.master_keys import (
    KeyInUseError,
    KeyUses,
    MasterKey,
    RewrappedKeys,
    Rotation,
    RotationProgress,
)
from offerlog_application.sharding.router import Router, Shard


class MasterKeysOfShards:
    """The application's `MasterKeys` over several shards; thread-safe.

    No slice moves while keys are rotated or retired: a copy of a slice that is under way has keys that nobody
    else sees. Each method raises `ShardUnavailableError` if a shard cannot be reached.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def list(self) -> Sequence[MasterKey]:
        """List the keys that the keyring holds or some shard has used, with their uses on all shards."""
        added: dict[str, MasterKey] = {}
        for found in self._router.ask_each(lambda shard: shard.store.master_keys.list()):
            for one in found:
                known = added.get(one.id)
                added[one.id] = one if known is None else _add(known, one)
        return [*added.values()]

    def rotate(self, on_progress: Callable[[RotationProgress], None] | None = None) -> Rotation:
        """Make a new current key, and encrypt every key of all shards with it; or complete a rotation.

        No key is made while a shard cannot be reached. Each organization has an event on each shard.

        Raises:
            ShardUnavailableError: A shard cannot be reached, a slice moves, or projections are rebuilt. The
                same call continues.
        """
        with self._locked() as (stores, _):
            return rotate_keys(stores, on_progress)

    def retire(self, key_id: str) -> None:
        """Remove a former key from the keyring, if it encrypts nothing of any shard any more.

        Raises:
            ShardUnavailableError: A shard cannot be reached, so that nobody knows if it needs the key; a
                slice moves, or projections are rebuilt. The key is in the keyring.
        """
        with self._locked() as (stores, check_alone):
            retire_key(stores, key_id, check_alone)

    @contextmanager
    def locked(self) -> Iterator[KeyUses]:
        """Be the only process that rotates or retires keys; gives the uses of the home."""
        with self._locked() as (stores, _):
            yield stores[0]

    @contextmanager
    def _locked(self) -> Iterator[tuple[Sequence[KeyUses], Callable[[], None]]]:
        """Be the only process that rotates or retires keys, on all shards, and keep slices from moving."""
        with self._router.keeping_slices() as check_alone, ExitStack() as held:
            yield (
                [
                    _UsesOfShard(self._router, shard, held.enter_context(self._lock(shard)))
                    for shard in self._router.all()
                ],
                check_alone,
            )

    @contextmanager
    def _lock(self, shard: Shard) -> Iterator[KeyUses]:
        with ExitStack() as held:
            yield self._router.ask(shard, lambda one: held.enter_context(one.store.master_keys.locked()))


class _UsesOfShard:
    """The `KeyUses` of one shard, whose errors name it.

    Args:
        router: Finds the shards.
        shard: The shard.
        uses: Its uses.
    """

    def __init__(self, router: Router, shard: Shard, uses: KeyUses) -> None:
        self._router = router
        self._shard = shard
        self._uses = uses

    @property
    def keyring(self) -> Keyring:
        """The keyring of all shards."""
        return self._uses.keyring

    def fence(self) -> None:
        """Let writers read the keyring anew, and wait for those that have begun before."""
        self._router.ask(self._shard, lambda _: self._uses.fence())

    def count_left(self) -> int:
        """Count the keys that another key than the current one encrypts."""
        return self._router.ask(self._shard, lambda _: self._uses.count_left())

    def rewrap(self) -> Iterator[RewrappedKeys]:
        """Encrypt those with the current key, and yield the number of each page."""
        return self._router.stream(self._shard, self._uses.rewrap())

    def check_unused(self, key_id: str) -> None:
        """Check that a key encrypts nothing of the shard."""
        with self._naming_shard():
            self._router.ask(self._shard, lambda _: self._uses.check_unused(key_id))

    def forget_key(self, key_id: str) -> None:
        """Let the shard not know a key any more, unless it encrypts something."""
        with self._naming_shard():
            self._router.ask(self._shard, lambda _: self._uses.forget_key(key_id))

    def forget_remembered(self) -> None:
        """Forget what this process remembers of keys."""
        self._uses.forget_remembered()

    @contextmanager
    def _naming_shard(self) -> Iterator[None]:
        try:
            yield
        except KeyInUseError as error:
            raise KeyInUseError(error.key_id, f"on shard {self._shard.number}, {error.reason}") from error


def _add(one: MasterKey, other: MasterKey) -> MasterKey:
    """Add the uses of a key on two shards."""
    used = [moment for moment in (one.used_since, other.used_since) if moment is not None]
    return replace(
        one,
        used_since=min(used, default=None),
        visitors=one.visitors + other.visitors,
        organizations=one.organizations + other.organizations,
    )
