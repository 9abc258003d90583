"""The stores of an installation, for those who set it up and look at it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_application.evidence.findings import AuditReport
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keyring import Keyring
from offerlog_application.ports.rebuilds import RebuildProgress, name_shard
from offerlog_application.ports.shards import (
    HOME,
    Directory,
    HeldSlices,
    MovedSlice,
    MoveProgress,
    ShardArgumentError,
    ShardError,
    ShardState,
    ShardUnavailableError,
    ShardUnreachedError,
)
from offerlog_application.sharding.checking import StoreContent, find_faults
from offerlog_application.sharding.joined_tree import JoinedTree, name_places
from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_domain.stream_ids import SLICES, format_slices
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.opened_store import OpenStore
from offerlog_infrastructure.server_address import check_address
from offerlog_infrastructure.shard_places import place_of_shard

_NAME: Final = "offerlog shards"
"""The name of these connections: those of services have another one."""


def parse_slices(text: str) -> Sequence[int]:
    """Return the slices of a text such as `8-f` or `0,3,a-c`.

    Raises:
        ArgumentError: It is not one.
    """
    found: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.partition("-")
        try:
            first, last = int(low, SLICES), int(high if dash else low, SLICES)
        except ValueError:
            first, last = 0, -1
        if not 0 <= first <= last < SLICES:
            raise ArgumentError("slices", f"{text!r} names no slices: give digits such as 8-f or 0,3,a-c")
        found |= {*range(first, last + 1)}
    return sorted(found)


class Installation:
    """An installation, by its home; a context manager.

    Args:
        data: The folder of the home's embedded store; None for the platform's place for it.
        database_url: The server of the home instead.
        keyring: Encrypts the keys of all its stores.
        create: True to make the store of the home if there is none.
        directory: The directory of a home that is being restored, and does not have its own yet.

    Raises:
        ShardError: The store is a shard, and not the home.
        StoreMissingError: There is no store, and `create` is false.
        OfferlogError: The store cannot be opened; see `OpenStore`.
    """

    def __init__(
        self,
        data: Path | None,
        database_url: str | None,
        keyring: Keyring,
        *,
        create: bool = False,
        directory: Directory | None = None,
    ) -> None:
        self._keyring = keyring
        if database_url is not None:  # whatever name the address states, which services state as well
            check_address(database_url)
            database_url = make_conninfo(database_url, application_name=_NAME)
        with ExitStack() as held:
            self._home = held.enter_context(
                OpenStore(
                    data,
                    database_url,
                    keyring=keyring,
                    create=create,
                    application_name=_NAME,
                    directory=directory,
                )
            )
            self._resources = held.pop_all()

    def begin(self) -> None:
        """Make the store the home of several; see `make_home`.

        Raises:
            ShardError: That cannot be.
        """
        self._home.become_home()

    def add(self, url: str, slices: Sequence[int]) -> int:
        """Make an empty store a shard, with or without slices; returns its number. See `add_shard`.

        The tables of the store are made if there are none.

        Raises:
            ShardError: That cannot be.
            ServerAddressError: The address cannot be read.
        """
        check_address(url)
        if conninfo_to_dict(url).get("password"):
            raise ShardArgumentError(
                "leave the password out of the address, which is stored: all shards have that of the home, or"
                " libpq's password file has it"
            )
        with OpenStore(
            None, url, keyring=self._keyring, create=True, application_name=_NAME, home=self._home
        ) as target:
            return self._home.add_shard(target, url, slices)

    def states(self) -> Sequence[ShardState]:
        """Return all shards as they are now, the home first; none for a store that is the only one."""
        if not self._home.is_home:
            return []
        directory = self._home.directory()
        shard_map, addresses = directory.read_map(), directory.addresses()
        found = [self._state(self._home, HOME, None, shard_map.slices_of(HOME))]
        for number in sorted(addresses):
            url, slices = addresses[number], shard_map.slices_of(number)
            try:
                with OpenStore(
                    None, url, keyring=self._keyring, create=False, application_name=_NAME, home=self._home
                ) as store:
                    store.check_number(number)
                    found.append(self._state(store, number, url, slices))
            except OfferlogError as error:
                found.append(ShardState(number, url, slices, None, None, str(error)))
        return found

    def audit(
        self,
        audit_key: Path,
        checkpoints: Path | None,
        on_progress: Callable[[RebuildProgress], None] = lambda _: None,
        keys: Sequence[VerifierKey] = (),
    ) -> Mapping[int, AuditReport]:
        """Compare the tree of each shard with the events of its log, in whatever store they lie by now.

        So an event that was moved is compared with its leaf, and one that is missing where it was recorded
        must be elsewhere. Reads all logs; no slice is to move meanwhile.

        Args:
            audit_key: The key of the home that signs checkpoints; see `place_of_shard`.
            checkpoints: Its folder of checkpoints; None for none.
            on_progress: Called several times a second.
            keys: The public keys that may sign checkpoints. Without any, that of each log's own key.

        Raises:
            ShardError: The store is the only one, or a slice is on its way.
            OfferlogError: A store cannot be opened.
        """
        with self._opened() as stores:
            before = _read_settled(stores)
            clock = SystemClock()
            trees = {number: store.tree(clock) for number, store in stores.items()}
            reports: dict[int, AuditReport] = {}
            for number, store in stores.items():
                evidence = store.evidence(
                    clock,
                    place_of_shard(audit_key, number),
                    checkpoints and place_of_shard(checkpoints, number),
                    timedelta(),
                    tree=JoinedTree(number, trees),
                )
                report = evidence.verify(keys=keys, on_progress=name_shard(on_progress, number))
                reports[number] = name_places(report, trees)
            if _read_settled(stores) != before:
                raise ShardError("a slice was moved meanwhile, so nothing was compared: run it again")
        return reports

    def verify(self, on_progress: Callable[[RebuildProgress], None] = lambda _: None) -> Sequence[str]:
        """Return what is wrong among the stores, in words; see `find_faults`. Reads the whole logs.

        No shard is to be added meanwhile.

        Args:
            on_progress: Called with the number of the stores that were read so far.

        Raises:
            ShardError: The store is the only one, or one at an address is another.
            OfferlogError: One of them cannot be opened.
        """
        with self._opened() as stores:
            shard_map = self._home.directory().read_map()
            contents: dict[int, StoreContent] = {}
            for done, (number, store) in enumerate(stores.items()):
                on_progress(RebuildProgress(f"reading shard {number}", done, len(stores)))
                contents[number] = store.content()
        return list(find_faults(contents, dict(enumerate(shard_map.shards))))

    def move(self, number: int, target: int, on_progress: Callable[[MoveProgress], None]) -> MovedSlice:
        """Move a slice to a shard, while services run; see `SliceMover.move`.

        Raises:
            ShardError: That cannot be.
            OfferlogError: See `SliceMover.move`.
        """
        with self._opened_to_move() as (stores, silent):
            if target not in stores and target not in silent:
                there = ", ".join(map(str, sorted({*stores, *silent})))
                raise ShardArgumentError(f"there is no shard {target}: there are {there}")
            if target in silent:
                raise ShardError(_describe_silent({target: silent[target]}))
            return self._home.move_slice(stores, number, target, on_progress)

    def undo_move(self, number: int) -> int:
        """Undo a move that is under way, or end one that cannot be undone; returns the slice's owner.

        Raises:
            ShardError: No shard that can be reached owns the slice.
            OfferlogError: See `SliceMover.undo`.
        """
        with self._opened_to_move() as (stores, _):
            return self._home.undo_move(stores, number)

    def moves(self) -> Sequence[MoveProgress]:
        """Return the moves that are under way, or were interrupted last, as far as the home knows."""
        return self._home.directory().moves() if self._home.is_home else []

    def numbers(self) -> Sequence[int]:
        """Return the numbers of all shards, ascending; that of the home for a store that is the only one."""
        return self._home.directory().read_map().numbers if self._home.is_home else [HOME]

    @contextmanager
    def _opened_to_move(
        self,
    ) -> Iterator[tuple[Mapping[int, OpenStore], Mapping[int, StoreUnavailableError]]]:
        """Open the shards that can be reached, and return beside them why the others cannot be.

        An error that one of these is needed gets the reason, too.

        Raises:
            ShardError: The store is the only one, or one at an address is another.
            OfferlogError: One of them cannot be opened.
        """
        silent: dict[int, StoreUnavailableError] = {}
        with self._opened(silent) as stores:
            try:
                yield stores, silent
            except ShardUnreachedError as error:
                if not silent:
                    raise
                raise ShardError(f"{error} ({_describe_silent(silent)})") from error

    @contextmanager
    def _opened(
        self, silent: dict[int, StoreUnavailableError] | None = None
    ) -> Iterator[Mapping[int, OpenStore]]:
        """Open all shards, by number, the home first.

        Args:
            silent: Takes in the errors of those that cannot be reached; None if that ends all.

        Raises:
            ShardError: The store is the only one, or one at an address is another.
            OfferlogError: One of them cannot be opened.
        """
        if not self._home.is_home:
            raise ShardError("this store is the only one so far: run `offerlog shards init` first")
        stores = {HOME: self._home}
        with ExitStack() as held:
            for shard, url in sorted(self._home.directory().addresses().items()):
                try:
                    store = held.enter_context(
                        OpenStore(
                            None,
                            url,
                            keyring=self._keyring,
                            create=False,
                            application_name=_NAME,
                            home=self._home,
                        )
                    )
                    store.check_number(shard)
                except StoreUnavailableError as error:
                    if silent is None:
                        slices = self._home.directory().read_map().slices_of(shard)
                        raise ShardUnavailableError(shard, slices, error) from error
                    silent[shard] = error
                else:
                    stores[shard] = store
            yield stores

    @staticmethod
    def _state(store: OpenStore, number: int, url: str | None, slices: Sequence[int]) -> ShardState:
        return ShardState(number, url, slices, store.read_owned(), store.count_visitors())

    def close(self) -> None:
        """Close the home."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _describe_silent(silent: Mapping[int, StoreUnavailableError]) -> str:
    return "; ".join(f"shard {number}: {error}" for number, error in silent.items())


def _read_settled(stores: Mapping[int, OpenStore]) -> Mapping[int, HeldSlices]:
    """Return the slices of all stores, if none is on its way.

    Raises:
        ShardError: One is.
    """
    held = {number: store.read_held_slices() for number, store in stores.items()}
    owned = frozenset[int]().union(*(one.owned for one in held.values()))
    leaving = frozenset[int]().union(*(one.leaving for one in held.values()))
    moving = sorted(leaving | {*range(SLICES)} - owned)
    if moving:
        raise ShardError(
            f"slices are on their way ({format_slices(moving)}): their events can be compared when the move"
            " has ended"
        )
    return held
