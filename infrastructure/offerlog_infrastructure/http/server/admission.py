"""Limits on connections: on all of them, below the limit of open files, and on those of one peer."""

import resource
from collections import Counter
from math import ceil
from typing import Final

from offerlog_infrastructure.http.peers import TrustedProxies, peer_of_address
from offerlog_infrastructure.http.shared.counts import OpenCounts

RESERVED_FILES: Final = 100
"""Open files that are kept free for the store, the log and static files."""

_MAX_CONNECTIONS: Final = 10_000
_FEWEST: Final = 16


def limit_connections(wanted: int | None, processes: int = 1) -> int:
    """Return the most connections at once: the number wanted, within the limit of open files.

    Args:
        wanted: The operator's number; None for as many as the limit of open files allows, at most 10,000.
        processes: The number of processes that share the operator's number.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = _MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(soft - RESERVED_FILES, _FEWEST)
    return min(ceil((wanted or processes * _MAX_CONNECTIONS) / processes), possible)


class Admission:
    """Counts the connections of each peer.

    Args:
        most: Most connections at once.
        per_peer: Most connections of one peer. A trusted proxy may have all, because it serves many callers.
        proxies: The trusted proxies.
        shared: Counts the connections of peers over all processes of the service; None where there is one.
    """

    def __init__(
        self, most: int, per_peer: int, proxies: TrustedProxies, shared: OpenCounts | None = None
    ) -> None:
        self.most = most
        self._per_peer = per_peer
        self._proxies = proxies
        self._shared = shared
        self._open: Counter[str] = Counter()

    def enter(self, host: str | None) -> bool:
        """Count a new connection; return False if its peer has too many."""
        if host is None:  # a socket without addresses
            return True
        peer = peer_of_address(host)
        self._open[peer] += 1
        if self._shared is not None and host not in self._proxies:
            return self._shared.enter(peer) <= self._per_peer
        return self._open[peer] <= self._per_peer or host in self._proxies

    def count_of(self, peer: str) -> int:
        """Return the number of connections of a peer to this process."""
        return self._open[peer]

    def leave(self, host: str | None) -> None:
        """Count a connection out."""
        if host is None:
            return
        peer = peer_of_address(host)
        self._open[peer] -= 1
        if self._open[peer] <= 0:
            del self._open[peer]
        if self._shared is not None and host not in self._proxies:
            self._shared.leave(peer)
