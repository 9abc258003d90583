"""A connection that breaks around its COMMIT: the caller still gets the true outcome."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from enum import Enum, auto
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.signal_text import SignalInput
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.log.lost_commit import CommittedAppend, LostCommit
from support.internals import stop_projector
from support.journeys import signal
from support.processes import finish
from support.proxy import connected_to
from support.recount import event_ids, rows
from support.refused_texts import refused_texts

SLOW_COMMIT = """
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON refusals DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()
"""
"""What is deferred happens inside COMMIT."""


class Cut(Enum):
    """What the network does to the end of the next append's last COPY, on which the server commits."""

    BEFORE = auto()  # it never arrives
    AT_ONCE = auto()  # it arrives, and the connection is gone at the same moment
    ANSWER = auto()  # it is carried out, but the answer is lost
    ANSWER_AND_SERVER = auto()  # as ANSWER, all other connections break too, and for a while nobody gets in
    LATE = auto()  # it arrives after the server has ended the session


END_OF_COPY = b"c\x00\x00\x00\x04"
END_COPYING = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%%COPY%%COMMIT'
"""


class Proxy:
    """Stands between psycopg and the server; does something to the next commit when told so."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self._direct_dsn = dsn
        self._host, self._port = str(parts["host"]), parts.get("port") or 5432
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(300)
        port = self._listener.getsockname()[1]
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        self.next: Cut | None = None
        self.cut = 0
        self._away_until = 0.0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if time.monotonic() < self._away_until:
                client.close()
                continue
            server = connected_to(self._host, self._port)
            client.settimeout(300)
            self._pairs.append((client, server))
            silent = threading.Event()
            threading.Thread(target=self._answers, args=(server, client, silent), daemon=True).start()
            threading.Thread(target=self._requests, args=(client, server, silent), daemon=True).start()

    def _answers(self, server: socket.socket, client: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if silent.is_set():  # the server has answered the COMMIT: it is carried out
                    break
                client.sendall(data)
        _end(server, client)

    def _requests(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        copies = 0
        with suppress(OSError):
            for message in _messages(client):
                if message.endswith(b"; COMMIT\x00"):
                    copies = message.count(b"FROM STDIN")
                copies -= message == END_OF_COPY
                cut = self.next if message == END_OF_COPY and copies == 0 else None
                if cut is None:
                    server.sendall(message)
                    continue
                self.next = None
                self.cut += 1
                if cut is Cut.BEFORE:
                    break
                if cut is Cut.LATE:
                    rows(self._direct_dsn, END_COPYING)
                if cut is Cut.ANSWER_AND_SERVER:
                    self._away_until = time.monotonic() + 1.0
                    _end(*(each for pair in self._pairs if client not in pair for each in pair))
                if cut in {Cut.ANSWER, Cut.ANSWER_AND_SERVER}:
                    silent.set()
                server.sendall(message)
                if cut is Cut.AT_ONCE:
                    break
        _end(client, server) if not silent.is_set() else None


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _messages(client: socket.socket) -> Iterator[bytes]:
    """What a client sends, message by message: a type and a length, but the first has only a length."""
    held, head = b"", 0
    while data := client.recv(65536):
        held += data
        while len(held) >= head + 4 and len(held) >= (end := head + int.from_bytes(held[head : head + 4])):
            yield held[:end]
            held, head = held[end:], 1


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    """A way to the database that can be cut."""
    with closing(Proxy(dsn)) as proxy:
        yield proxy


@contextmanager
def opened(dsn: str, **settings: str) -> Iterator[Offerlog]:
    """A service whose only transactions are the writer's: its projector has been stopped."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, library_settings=settings) as service:
        stop_projector(service)
        yield service


@pytest.mark.parametrize("cut", list(Cut))
def test_the_outcome_is_true_whatever_happens_to_the_commit(proxy: Proxy, dsn: str, cut: Cut) -> None:
    """Recorded once and said so, with its refusals once, whether or not the first try went through."""
    with opened(proxy.dsn) as service:
        service.record([signal("offered", visitor="before")])
        for n in range(2):
            proxy.next = cut
            batch: list[SignalInput] = [
                signal("offered", visitor=n),
                f"no signal {n}",
                signal("accepted", visitor=n),
            ]
            receipt = service.submit(batch).result(timeout=30)
            assert [o.kind.value for o in receipt.outcomes] == ["recorded", "refused", "recorded"]
            assert rows(dsn, "SELECT max(notification_id) FROM offerlog_events") == [(receipt.position,)]
    assert proxy.cut == 2
    assert set(event_ids(dsn).values()) == {1}
    assert len(event_ids(dsn)) == 5
    assert sorted(refused_texts(dsn)) == ["no signal 0", "no signal 1"]


def test_a_commit_that_takes_its_time_is_waited_for(proxy: Proxy, dsn: str) -> None:
    """The connection is gone while the server is still committing: neither outcome is taken for granted."""
    rows(dsn, SLOW_COMMIT)
    with opened(proxy.dsn) as service:
        proxy.next = Cut.AT_ONCE
        receipt = service.submit([signal("offered"), "no signal"]).result(timeout=30)
        assert [o.kind.value for o in receipt.outcomes] == ["recorded", "refused"]
    assert proxy.cut == 1
    assert list(event_ids(dsn).values()) == [1]
    assert rows(dsn, "SELECT count(*) FROM refusals") == [(1,)]


def test_a_connection_lost_again_while_asking_is_no_answer(
    proxy: Proxy, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed is not called a repeat of itself because the first question got lost too."""
    looked_up = LostCommit._find_stored
    lost = iter([OperationalError("gone again")])

    def lose(commit: LostCommit, *asked: Any) -> CommittedAppend | None:
        for error in lost:
            raise error
        return looked_up(commit, *asked)

    monkeypatch.setattr(LostCommit, "_find_stored", lose)
    with opened(proxy.dsn) as service:
        proxy.next = Cut.ANSWER
        receipt = service.submit([signal("offered"), "no signal"]).result(timeout=30)
        assert [o.kind.value for o in receipt.outcomes] == ["recorded", "refused"]
    assert proxy.cut == 1
    assert rows(dsn, "SELECT count(*) FROM refusals") == [(1,)]


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.ANSWER])
def test_refusals_alone_are_written_once(proxy: Proxy, dsn: str, cut: Cut) -> None:
    """The refusal log has no key that would catch a second writing, so the writer must know."""
    with opened(proxy.dsn) as service:
        service.record(["first"])
        proxy.next = cut
        receipt = service.submit(["second"]).result(timeout=30)
        assert [o.kind.value for o in receipt.outcomes] == ["refused"]
    assert proxy.cut == 1
    assert refused_texts(dsn) == ["first", "second"]


def test_a_server_that_was_restarted_is_reached_again(dsn: str, offerlog: Offerlog) -> None:
    """Connections that went stale while idle cost nobody a signal: nothing had been decided yet."""
    offerlog.record([signal("offered", visitor="before")])
    rows(
        dsn,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    for n in range(10):
        offerlog.record([signal("offered", visitor=n)])


def test_whatever_is_terminated_what_is_acknowledged_is_there_once(dsn: str, offerlog: Offerlog) -> None:
    """Two hundred submits while backends are ended at random; `StoreUnavailableError` means not stored."""
    over = threading.Event()

    def terminate() -> None:
        chance = random.Random(7)  # noqa: S311 - chance in a test
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not over.wait(chance.random() * 0.06):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND backend_type = 'client backend' AND random() < 0.4"
                )

    terminator = threading.Thread(target=terminate)
    terminator.start()
    answers: list[Future[Receipt]] = []
    try:
        for n in range(200):
            batch = [signal("offered", visitor=n), signal("accepted", visitor=n), f"no signal {n}"]
            answers.append(_submitted(lambda batch=batch: offerlog.submit(batch)))  # type: ignore[misc] # a default
            time.sleep(0.01)
        errors = [answer.exception(timeout=60) for answer in answers]
    finally:
        over.set()
        finish(terminator)
    told = event_ids(dsn)
    refused = refused_texts(dsn)
    for n, error in enumerate(errors):
        assert error is None or isinstance(error, StoreUnavailableError)
        times = 1 if error is None else 0
        for state in ("offered", "accepted"):
            assert told[str(signal(state, visitor=n)["eventId"])] == times
        assert refused.count(f"no signal {n}") == times
    assert errors.count(None) > 20
    again = [_recorded(offerlog, n) for n in range(200)]
    assert {outcome.kind.value for receipt in again for outcome in receipt.outcomes} <= {
        "recorded",
        "duplicate",
    }
    assert list(event_ids(dsn).values()) == [1] * 400


def _recorded(offerlog: Offerlog, visitor: int) -> Receipt:
    """As a sender does it that tries again."""
    while True:
        with suppress(StoreUnavailableError):  # a connection that was ended while it was idle
            return offerlog.record([signal(state, visitor=visitor) for state in ("offered", "accepted")])


def _submitted(submit: Callable[[], Future[Receipt]]) -> Future[Receipt]:
    while True:
        with suppress(StoreUnavailableError):  # the organization's key could not be read
            return submit()
