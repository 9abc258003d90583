"""The way to the shard of a visitor, and to all shards."""

from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import SliceElsewhereError, StoreUnavailableError
from offerlog_application.ports.shards import HOME, ShardMap, ShardUnavailableError
from offerlog_application.ports.store import Store
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.projections.awaiting import Waits
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.stream_ids import slice_of

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """An open shard: a whole service over one store, as where there is one server.

    Attributes:
        number: Its number.
        store: The ports of its store.
        writer: The writer of its log in this process.
        waits: Its waits for positions.
        service: The service, with that writer. It applies the projections of its store and keeps deadlines.
        read_owned: Reads the slices that the store owns now.
    """

    number: int
    store: Store
    writer: GroupCommitWriter
    waits: Waits
    service: Offerlog
    read_owned: Callable[[], Collection[int]]


class OpenShards(Protocol):
    """The shards of an installation, opened in this process; thread-safe."""

    @property
    def map(self) -> ShardMap:
        """The shard of each slice, as it was read last."""

    def read_map(self) -> ShardMap:
        """Read the shard of each slice from the directory, and remember it.

        Raises:
            StoreUnavailableError: The home cannot be reached.
        """

    def keep_deadlines(self) -> None:
        """Start the upkeep of each shard, also of one that is opened later."""

    def get(self, number: int) -> Shard:
        """Return a shard, without waiting for one that cannot be reached.

        Raises:
            StoreUnavailableError: It could not be opened yet.
        """


AskMany = Callable[[Shard, Sequence[K]], Mapping[K, T]]
"""Asks a shard for some visitors."""


def _ask_for(ask: AskMany[K, T], visitors: Sequence[K], shard: Shard) -> Mapping[K, T]:
    return ask(shard, visitors)


class Router:
    """Finds the shards that have the answer; thread-safe.

    Args:
        shards: The shards.
    """

    def __init__(self, shards: OpenShards) -> None:
        self._shards = shards

    @property
    def map(self) -> ShardMap:
        """The shard of each slice, as it was read last."""
        return self._shards.map

    def read_map(self) -> ShardMap:
        """Read the shard of each slice anew.

        Raises:
            StoreUnavailableError: The home cannot be reached.
        """
        return self._shards.read_map()

    @property
    def home(self) -> Shard:
        """The home."""
        return self._shards.get(HOME)

    def get(self, number: int) -> Shard:
        """Return a shard.

        Raises:
            ShardUnavailableError: It could not be opened yet.
        """
        try:
            return self._shards.get(number)
        except StoreUnavailableError as error:
            raise self.explain(number, error) from error

    def ask_one(self, digest: UUID, ask: Callable[[Shard], T]) -> T:
        """Ask the shard of a visitor; once more, by a map read anew, if the slice has gone elsewhere.

        Args:
            digest: The visitor's digest.
            ask: Asks a shard. What it returns counts if the shard owns the slice afterwards.

        Raises:
            SliceElsewhereError: The slice is on its way.
            ShardUnavailableError: The shard cannot be reached.
        """
        slice_number = slice_of(digest)
        found = self._try(self.map.shard_of(digest), slice_number, ask)
        if found is None:
            found = self._try(self.read_map().shard_of(digest), slice_number, ask)
        if found is None:
            raise SliceElsewhereError([slice_number])
        return found[0]

    def _try(self, number: int, slice_number: int, ask: Callable[[Shard], T]) -> tuple[T] | None:
        """Return what a shard answers; None if it does not own the slice."""
        shard = self.get(number)
        self._check(shard)
        try:
            answer = ask(shard)
            return (answer,) if slice_number in shard.read_owned() else None
        except SliceElsewhereError:
            return None
        except ShardUnavailableError:
            raise
        except StoreUnavailableError as error:
            raise self.explain(number, error) from error

    def ask_many(self, digests: Mapping[K, UUID], ask: "AskMany[K, T]") -> Mapping[K, T]:
        """Ask the shards of many visitors; once more, by a map read anew, if a slice has gone elsewhere.

        Args:
            digests: The digest of each visitor.
            ask: Asks a shard for some of the visitors.

        Raises:
            SliceElsewhereError: A slice is on its way.
            ShardUnavailableError: One of the shards cannot be reached.
        """
        found: dict[K, T] = {}
        gone: set[int] = set()
        for is_stale in (False, True):
            current = self.read_map() if is_stale else self.map
            of_shards: dict[int, list[K]] = {}
            for visitor, digest in digests.items():
                if visitor not in found:
                    of_shards.setdefault(current.shard_of(digest), []).append(visitor)
            gone = set()
            for number, visitors in of_shards.items():
                shard = self.get(number)
                answers = self.ask(shard, partial(_ask_for, ask, visitors))
                owned = self.ask(shard, lambda one: one.read_owned())
                found |= {one: answers[one] for one in visitors if slice_of(digests[one]) in owned}
                gone |= {slice_of(digests[one]) for one in visitors} - {*owned}
            if not gone:
                return found
        raise SliceElsewhereError(gone)

    def ask_all(self, ask: Callable[[Shard], T]) -> Sequence[T]:
        """Ask all shards that have slices, by a map read anew; the home comes first.

        Raises:
            ShardUnavailableError: One of them cannot be reached: without its slices there is no answer.
        """
        return [self.ask(shard, ask) for shard in self.all()]

    def all(self) -> Sequence[Shard]:
        """Return the home and all shards that have slices, by a map read anew.

        Raises:
            ShardUnavailableError: One of them could not be opened yet.
        """
        return [self.get(number) for number in sorted({HOME, *self.read_map().shards})]

    def open(self) -> Sequence[Shard]:
        """Return the home and all shards that are open, by the map as it was read last."""
        found: list[Shard] = []
        for number in sorted({HOME, *self.map.shards}):
            with suppress(StoreUnavailableError):
                found.append(self._shards.get(number))
        return found

    def ask(self, shard: Shard, ask: Callable[[Shard], T]) -> T:
        """Ask a shard.

        Raises:
            ShardUnavailableError: It cannot be reached.
        """
        self._check(shard)
        try:
            return ask(shard)
        except ShardUnavailableError:
            raise
        except StoreUnavailableError as error:
            raise self.explain(shard.number, error) from error

    def _check(self, shard: Shard) -> None:
        """Check that the writer has not found the shard's server away in the last seconds.

        So a read does not wait for a server that is known to be away.

        Raises:
            ShardUnavailableError: It has.
        """
        trouble = shard.writer.health.trouble
        if trouble is not None and trouble.trouble is StoreTrouble.UNREACHABLE:
            raise self.explain(shard.number, trouble)

    def stream(self, shard: Shard, rows: Iterable[T]) -> Generator[T]:
        """Stream rows of a shard.

        Raises:
            ShardUnavailableError: It cannot be reached; what came before is not all.
        """
        try:
            yield from rows
        except StoreUnavailableError as error:
            raise self.explain(shard.number, error) from error

    def explain(self, number: int, error: StoreUnavailableError) -> ShardUnavailableError:
        """Return the error of a shard that names it with its slices."""
        return ShardUnavailableError(number, self.map.slices_of(number), error)
