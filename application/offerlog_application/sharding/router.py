"""The way to the shard of a visitor, and to all shards."""

from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import SliceElsewhereError, StoreUnavailableError
from offerlog_application.ports.shards import (
    HOME,
    HeldSlices,
    ShardMap,
    ShardUnavailableError,
    SliceInMotionError,
)
from offerlog_application.ports.store import Store
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.projections.awaiting import Waits
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_application.sharding.in_motion import (
    ADDING_SECONDS,
    PATIENCE_SECONDS,
    Patience,
    find_changed,
    find_in_motion,
)
from offerlog_domain.stream_ids import SLICES, slice_of

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
        read_held: Reads the slices that it has now, also those that leave it.
        find_silence: Returns why its server is known not to answer; None while it answers. Asks nobody.
        keep_slices: Keeps slices from moving to the store or away from it, and its projections from being
            rebuilt. Gives a function that raises if that was lost.
    """

    number: int
    store: Store
    writer: GroupCommitWriter
    waits: Waits
    service: Offerlog
    read_owned: Callable[[], Collection[int]]
    read_held: Callable[[], HeldSlices]
    find_silence: Callable[[], StoreUnavailableError | None]
    keep_slices: Callable[[], AbstractContextManager[Callable[[], None]]]


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

    def await_first_attempts(self) -> None:
        """Wait until it was tried to open each shard, for some seconds; `get` does not wait afterwards."""

    def keep_deadlines(self) -> None:
        """Start the upkeep of each shard, also of one that is opened later."""

    def get(self, number: int) -> Shard:
        """Return a shard. Waits for one that is being opened for the first time, for some seconds.

        Raises:
            StoreUnavailableError: It could not be opened yet.
        """


class AsksAll(Protocol):
    """Asks shards for what adds up."""

    def ask_all(self, ask: Callable[[Shard], T]) -> Sequence[T]:
        """Return the answers of the shards."""


AskMany = Callable[[Shard, Sequence[K]], Mapping[K, T]]
"""Asks a shard for some visitors."""


def _ask_for(ask: AskMany[K, T], visitors: Sequence[K], shard: Shard) -> Mapping[K, T]:
    return ask(shard, visitors)


def _call(function: Callable[[], None], _: Shard) -> None:
    function()


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

    def newest_map(self) -> ShardMap:
        """Read the shard of each slice anew; as it was read last while the home cannot be reached."""
        with suppress(StoreUnavailableError):
            return self.read_map()
        return self.map

    @property
    def home(self) -> Shard:
        """The home."""
        return self._shards.get(HOME)

    def get(self, number: int) -> Shard:
        """Return a shard that answers, as far as is known.

        Raises:
            ShardUnavailableError: It could not be opened yet, or its server is known not to answer.
        """
        try:
            shard = self._shards.get(number)
        except StoreUnavailableError as error:
            raise self.explain(number, error) from error
        if (silence := shard.find_silence()) is not None:
            raise self.explain(number, silence)
        return shard

    def ask_one(self, digest: UUID, ask: Callable[[Shard], T]) -> T:
        """Ask the shard of a visitor; see `ask_slice`.

        Args:
            digest: The visitor's digest.
            ask: Asks a shard.
        """
        return self.ask_slice(slice_of(digest), ask)

    def ask_slice(self, slice_number: int, ask: Callable[[Shard], T]) -> T:
        """Ask the shard of a slice; again, by a map read anew, while the slice has gone elsewhere.

        Args:
            slice_number: The slice.
            ask: Asks a shard. What it returns counts if the shard owns the slice afterwards.

        Raises:
            SliceInMotionError: The slice has had no owner for some seconds.
            ShardUnavailableError: The shard cannot be reached.
        """
        patience = Patience(PATIENCE_SECONDS)
        current = self.map
        while True:
            found = self._try(current.shards[slice_number], slice_number, ask)
            if found is not None:
                return found[0]
            patience.pause(current, [slice_number])
            current = self.read_owners()

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
        """Ask the shards of many visitors; again, by a map read anew, while a slice has gone elsewhere.

        Args:
            digests: The digest of each visitor.
            ask: Asks a shard for some of the visitors.

        Raises:
            SliceInMotionError: A slice has had no owner for some seconds.
            ShardUnavailableError: One of the shards cannot be reached.
        """
        found: dict[K, T] = {}
        current, patience = self.map, Patience(PATIENCE_SECONDS)
        while True:
            of_shards: dict[int, list[K]] = {}
            for visitor, digest in digests.items():
                if visitor not in found:
                    of_shards.setdefault(current.shard_of(digest), []).append(visitor)
            gone: set[int] = set()
            for number, visitors in of_shards.items():
                shard = self.get(number)
                answers = self.ask(shard, partial(_ask_for, ask, visitors))
                owned = self.ask(shard, lambda one: one.read_owned())
                found |= {one: answers[one] for one in visitors if slice_of(digests[one]) in owned}
                gone |= {slice_of(digests[one]) for one in visitors} - {*owned}
            if not gone:
                return found
            patience.pause(current, sorted(gone))
            current = self.read_owners()

    def read_owners(self) -> ShardMap:
        """Read the owner of each slice from the shards, and from the directory where none says so.

        So a directory that a killed move has left stale costs a retry. Shards that cannot be reached are left
        out.

        Raises:
            StoreUnavailableError: The home cannot be reached.
        """
        return self.ask_owners(self.read_map())

    def ask_owners(self, known: ShardMap) -> ShardMap:
        """Read the owner of each slice from the shards, and from what is known where none says so."""
        owners: dict[int, int] = {}
        is_whole = True
        for number in known.numbers:
            try:
                owned = self.ask(self.get(number), lambda shard: shard.read_owned())
            except StoreUnavailableError:
                is_whole = False
            else:
                owners |= dict.fromkeys(owned, number)
        return known._replace(
            shards=[owners.get(one, known.shards[one]) for one in range(SLICES)],
            unowned={*range(SLICES)} - owners.keys() if is_whole else (),
        )

    def ask_all(self, ask: Callable[[Shard], T]) -> Sequence[T]:
        """Ask all shards, by a map read anew, for what adds up; the home comes first.

        Together they have each slice exactly once, from before the first answer until after the last one.
        While a slice moves, all are asked again.

        Raises:
            SliceInMotionError: A slice is missing, or there are two of it, for some seconds.
            ShardUnavailableError: One of them cannot be reached: without its slices there is no answer.
        """
        patience = Patience(ADDING_SECONDS)
        while True:
            shards = self.all()
            before = self.read_held(shards)
            in_motion = find_in_motion(before)
            if not in_motion:
                answers = [self.ask(shard, ask) for shard in shards]
                after = self.read_held(shards)
                if after == before:
                    return answers
                in_motion = find_changed(before, after)
            patience.pause(self.map, in_motion)

    def ask_each(self, ask: Callable[[Shard], T]) -> Sequence[T]:
        """Ask each shard, by a map read anew, for what is true of each by itself; the home comes first.

        Raises:
            ShardUnavailableError: One of them cannot be reached.
        """
        return [self.ask(shard, ask) for shard in self.all()]

    def read_held(self, shards: Sequence[Shard]) -> Sequence[HeldSlices]:
        """Read the slices that each of these shards has.

        Raises:
            ShardUnavailableError: One of them cannot be reached.
        """
        return [self.ask(shard, lambda one: one.read_held()) for shard in shards]

    @contextmanager
    def keeping_slices(self) -> Iterator[Callable[[], None]]:
        """Keep slices from moving between shards, for what goes through all of them and must miss nobody.

        Yields:
            A function that raises if that does not hold any more.

        Raises:
            ShardUnavailableError: A shard cannot be reached, or a slice moves, or projections are rebuilt.
            SliceInMotionError: A move was interrupted, and has not ended.
        """
        with ExitStack() as held:
            shards = self.all()
            checks = [held.enter_context(self._keep_slices_of(shard)) for shard in shards]
            before = self.read_held(shards)
            moving = {*find_in_motion(before)}.union(*(one.leaving for one in before))
            if moving:
                raise SliceInMotionError(HOME, sorted(moving))

            def check() -> None:
                for shard, check_one in zip(shards, checks, strict=True):
                    self.ask(shard, partial(_call, check_one))

            yield check

    @contextmanager
    def _keep_slices_of(self, shard: Shard) -> Iterator[Callable[[], None]]:
        with ExitStack() as held:
            yield self.ask(shard, lambda one: held.enter_context(one.keep_slices()))

    def all(self) -> Sequence[Shard]:
        """Return the home and all other shards, by a map read anew; one without slices may still have counts.

        Raises:
            ShardUnavailableError: One of them could not be opened yet.
        """
        return [self.get(number) for number in self.read_map().numbers]

    def open(self) -> Sequence[Shard]:
        """Return the home and all shards that are open, by the map as it was read last."""
        found: list[Shard] = []
        for number in self.map.numbers:
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
        """Check that a shard's server answers, and that the writer has not found it away lately.

        So a read does not wait for a server that is known to be away.

        Raises:
            ShardUnavailableError: It does not, or has.
        """
        trouble = shard.find_silence() or shard.writer.health.trouble
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
