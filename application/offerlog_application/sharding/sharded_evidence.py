"""The evidence of several shards: each has its own tree, key and checkpoints."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter, itemgetter
from typing import Any, cast

from offerlog_application.evidence.bundle_parts import BundlePage, BundleSource
from offerlog_application.evidence.evidence import Evidence
from offerlog_application.ports.positions import shard_of_position
from offerlog_application.ports.sealed_tree import NotSealedError, SealedTree
from offerlog_application.projections.page import Page
from offerlog_application.sharding.joined_tree import JoinedTree, name_places
from offerlog_application.sharding.refused_port import RefusedPort
from offerlog_application.sharding.router import Router, Shard
from offerlog_application.sharding.settled_shards import settled_shards
from offerlog_domain.transparency.proof_files import InclusionFile


class ShardedEvidence(RefusedPort):
    """Stands in for the `Evidence` of one store; thread-safe.

    What one tree can do alone refuses here: `of_servers` has the evidence of each log, with all of its
    events, wherever they lie by now.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        super().__init__("to work on one tree of all servers, each of which has its own (`of_servers`)")
        self._router = router

    def of_servers(self) -> Mapping[int, Evidence]:
        """Return the evidence of each shard's log, by number.

        While a slice moves, its events may be there twice, or missing: see `settled`.

        Raises:
            ShardUnavailableError: A shard cannot be reached.
        """
        return self._join(self._router.all())

    @contextmanager
    def settled(self) -> Iterator[Mapping[int, Evidence]]:
        """Lend the evidence of each shard's log, for work on all of its events.

        Raises:
            SliceInMotionError: A slice is on its way, or has moved meanwhile.
            ShardUnavailableError: A shard cannot be reached.
        """
        with settled_shards(self._router) as shards:
            yield self._join(shards)

    def prove(self, position: int) -> InclusionFile:
        """Return the proof that an event is in the tree of the shard that has recorded it.

        The event may lie on another one by now.

        Raises:
            NotSealedError: No shard has recorded it, or its tree does not have it (yet).
            SliceInMotionError: A slice is on its way, or has moved meanwhile.
            OfferlogError: See `Evidence.prove`.
        """
        with self.settled() as logs:
            log = logs.get(shard_of_position(position))
            if log is None:
                raise NotSealedError(position, "no server has this number in its positions")
            return log.prove(position)

    def catch_up(self, timeout: float = 60.0) -> None:
        """Wait until all that is in the logs now is in their trees; see `Evidence.catch_up`."""
        for log in self.of_servers().values():
            log.catch_up(timeout)

    @property
    def cosigned(self) -> Mapping[str, int]:
        """The number of events of all logs that each witness has cosigned, by its name."""
        return sum((Counter(_evidence_of(one).cosigned) for one in self._router.open()), Counter[str]())

    def _join(self, shards: Sequence[Shard]) -> Mapping[int, Evidence]:
        trees = {one.number: cast("SealedTree", self._named(one, _evidence_of(one).tree)) for one in shards}
        source = _JoinedSource(
            [cast("BundleSource", self._named(one, _evidence_of(one).source)) for one in shards]
        )
        return {
            one.number: _evidence_of(one).over(
                JoinedTree(one.number, trees), source, lambda report: name_places(report, trees)
            )
            for one in shards
        }

    def _named(self, shard: Shard, port: object) -> "_NamedPort":
        return _NamedPort(self._router, shard, port)


class _NamedPort:
    """A port of a shard; an error that it cannot be reached names the shard.

    Args:
        router: Names it.
        shard: The shard.
        port: The port.
    """

    def __init__(self, router: Router, shard: Shard, port: object) -> None:
        self._router = router
        self._shard = shard
        self._port = port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)
        return lambda *args: self._router.ask(self._shard, lambda _: method(*args))


class _JoinedSource:
    """The application's `BundleSource` over the stores of all shards.

    Args:
        sources: That of each.
    """

    def __init__(self, sources: Sequence[BundleSource]) -> None:
        self._sources = sources

    def read(self, after: int, until: int) -> BundlePage:
        """Return the events of one log behind a position and up to another, wherever they lie."""
        pages = [one.read(after, until) for one in self._sources]
        if not any(one.rows for one in pages[1:]):
            return pages[0]
        rows = [row for one in pages for row in one.rows]
        events = [event for one in pages for event in one.page.events]
        earlier = {stream: found for one in pages for stream, found in one.page.earlier.items()}
        return BundlePage(
            sorted(rows, key=itemgetter(0)), Page(sorted(events, key=attrgetter("position")), earlier)
        )


def _evidence_of(shard: Shard) -> Evidence:
    evidence = shard.service.evidence
    assert evidence is not None  # noqa: S101 - only a log in memory has none
    return evidence
