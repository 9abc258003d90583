"""Small tables in a file that all processes of a service map: limits that hold for all of them.

The file is an LMDB environment: one process writes at a time, and a process that is killed while it writes
leaves the last state. Nothing in it outlives the service.
"""

import logging
import struct
import time
from collections.abc import Hashable
from hashlib import blake2b
from pathlib import Path
from typing import Final

import lmdb

from offerlog_infrastructure.http.requests.rates import MAX_BUCKETS, Bucket, TokenBuckets
from offerlog_infrastructure.http.shared.counts import OpenCounts
from offerlog_infrastructure.http.shared.metric_exchange import MetricExchange
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble

_MAP_BYTES: Final = 128 << 20
"""Address space of the file. It grows to a few megabytes."""

_MAX_TABLES: Final = 32
_MAX_READERS: Final = 1_024
_DIGEST_BYTES: Final = 16
_LOOKED_AT: Final = 8
"""Buckets of which the oldest is dropped when there are too many."""

_BUCKET: Final = struct.Struct("<dd")
_COUNT: Final = struct.Struct("<q")

_log = logging.getLogger(__name__)


class WorkerState:
    """The state that one worker shares with the others.

    Args:
        folder: The folder of the service.
        number: The number of this process among the processes of the service.
        workers: The number of processes that answer HTTP.

    Attributes:
        workers: That number.
        exchange: Gathers the metrics of all processes.
    """

    def __init__(self, folder: Path, number: int, workers: int) -> None:
        self.workers = workers
        self._exchange = MetricExchange(folder, number)
        self.exchange: MetricExchange | None = self._exchange
        self._number = number
        self._environment = lmdb.open(
            str(folder / "state"),
            map_size=_MAP_BYTES,
            max_dbs=_MAX_TABLES,
            max_readers=_MAX_READERS,
            sync=False,
            metasync=False,
            mode=0o600,
        )
        self._environment.reader_check()  # of processes that were killed
        self._trouble = RepeatedTrouble(_log, "limits are not kept and will be again")

    def make_buckets(self, name: str, per_second: float, burst: float, debt: float = 0.0) -> TokenBuckets:
        """Make token buckets, which all workers draw from."""
        return _SharedBuckets(self._table(f"buckets {name}"), per_second, burst, debt)

    def counts(self, name: str) -> OpenCounts:
        """Return the counts with this name, without those of an earlier process with this number."""
        return SharedCounts(self._table(f"counts {name}"), self._number)

    def close(self) -> None:
        """Close the file."""
        self._exchange.close()
        self._environment.close()

    def _table(self, name: str) -> "_Table":
        return _Table(self._environment, name, self._trouble)


class _Table:
    """One table of the file."""

    def __init__(self, environment: lmdb.Environment, name: str, trouble: RepeatedTrouble) -> None:
        self._environment = environment
        self._table = environment.open_db(name.encode())
        self.trouble = trouble

    def reading(self) -> lmdb.Transaction:
        return self._environment.begin(db=self._table)

    def writing(self) -> lmdb.Transaction:
        return self._environment.begin(db=self._table, write=True)


class _SharedBuckets(TokenBuckets):
    """Token buckets of all workers. If the file cannot be written, callers pass, and the log says so."""

    def __init__(self, table: _Table, per_second: float, burst: float, debt: float) -> None:
        super().__init__(per_second, burst, debt=debt)
        self._table = table

    def __len__(self) -> int:
        with self._table.reading() as transaction:
            return int(transaction.stat()["entries"])

    def left(self, caller: Hashable) -> float:
        with self._table.reading() as transaction:
            found = transaction.get(_digest(repr(caller)))
        return self.burst if found is None else self._filled(Bucket(*_BUCKET.unpack(found)), time.monotonic())

    def take(self, caller: Hashable, count: float = 1.0) -> bool:
        return self._change(caller, count, may_owe=False)

    def charge(self, caller: Hashable, count: float) -> None:
        self._change(caller, count, may_owe=True)

    def _change(self, caller: Hashable, count: float, *, may_owe: bool) -> bool:
        name = _digest(repr(caller))
        try:
            with self._table.writing() as transaction:
                found = transaction.get(name)
                left = (
                    self.burst
                    if found is None
                    else self._filled(Bucket(*_BUCKET.unpack(found)), time.monotonic())
                )
                if left < count and not may_owe:
                    return False
                if found is None and transaction.stat()["entries"] >= MAX_BUCKETS:
                    _drop_one(transaction, name)
                transaction.put(name, _BUCKET.pack(max(left - count, -self._debt), time.monotonic()))
        except lmdb.Error as error:
            self._table.trouble.note(error)
        else:
            self._table.trouble.over()
        return True


def _drop_one(transaction: lmdb.Transaction, near: bytes) -> None:
    """Drop the bucket that was unused longest among some random ones: names are digests."""
    with transaction.cursor() as cursor:
        if not cursor.set_range(near):
            cursor.first()
        sample = [item for item, _ in zip(cursor.iternext(), range(_LOOKED_AT), strict=False)]
    oldest, _ = min(sample, key=lambda item: _BUCKET.unpack(item[1])[1])
    transaction.delete(oldest)


class SharedCounts:
    """Counts of all workers: a row for each name and worker, so that those of a dead one can be removed.

    Args:
        table: The table with the rows.
        number: The number of this worker. What an earlier worker with it has counted is removed.
    """

    def __init__(self, table: _Table, number: int) -> None:
        self._table = table
        self._mine = bytes([number])
        with table.writing() as transaction:
            left = [name for name, _ in transaction.cursor() if bytes(name).endswith(self._mine)]
            for name in left:
                transaction.delete(name)

    def enter(self, name: str) -> int:
        """Count one in, and return the number now."""
        try:
            with self._table.writing() as transaction:
                self._add(transaction, _digest(name), 1)
                number = _sum(transaction, _digest(name))
        except lmdb.Error as error:
            self._table.trouble.note(error)
            return 0
        self._table.trouble.over()
        return number

    def leave(self, name: str) -> None:
        """Count one out."""
        try:
            with self._table.writing() as transaction:
                self._add(transaction, _digest(name), -1)
        except lmdb.Error as error:
            self._table.trouble.note(error)

    def of(self, name: str) -> int:
        """Return the number now."""
        with self._table.reading() as transaction:
            return _sum(transaction, _digest(name))

    def _add(self, transaction: lmdb.Transaction, digest: bytes, number: int) -> None:
        found = transaction.get(digest + self._mine)
        new = (0 if found is None else _COUNT.unpack(found)[0]) + number
        if new > 0:
            transaction.put(digest + self._mine, _COUNT.pack(new))
        else:
            transaction.delete(digest + self._mine)


def _sum(transaction: lmdb.Transaction, digest: bytes) -> int:
    total = 0
    with transaction.cursor() as cursor:
        if cursor.set_range(digest):
            for name, value in cursor:
                if not bytes(name).startswith(digest):
                    break
                total += _COUNT.unpack(value)[0]
    return total


def _digest(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
