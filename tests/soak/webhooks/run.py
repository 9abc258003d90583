"""One soak of webhooks from beginning to end."""

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import psycopg

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from soak.webhooks.judge import Event, Run
from soak.webhooks.receiver import RandomReceiver
from support.journeys import signal
from support.processes import LimitedProcess

_SENDERS: Final = 2
_QUIET_SECONDS: Final = 300.0
"""Seconds behind a soak in which everything must be delivered."""

_VISITORS: Final = 40
"""So few that a visitor has several events on their way."""

_STATES: Final = ("offered", "accepted", "started", "engaged")
_LONGEST_PAUSE: Final = 0.4
"""The longest time between two batches, in seconds."""

_LOSES_TURN: Final = 0.3
"""The part of the faults of services that end a turn to send, and kill no process."""

_END_TURN: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND (classid, objid) = (1868983410, 2003332971)
"""

_SENDS: Final = """
import sys, time
from offerlog_application.webhooks import retrying
from offerlog_infrastructure.composition import open_offerlog
retrying.RETRY_SECONDS = (0.5,) * len(retrying.RETRY_SECONDS)
retrying._FIRST_REST_SECONDS, retrying._LONGEST_REST_SECONDS = 0.5, 2.0
with open_offerlog(
    database_url=sys.argv[1],
    keyring=sys.argv[2],
    organization="default",
    keep_deadlines=False,
    project=False,
    webhook_networks="127.0.0.1",
) as service:
    service.webhooks.keep_delivering()
    time.sleep(float(sys.argv[3]))
"""
"""A service that sends, with shorter times between attempts."""


class _Senders:
    """The processes that send: one delivers at a time (`claim_turn`), and the others wait for its end."""

    def __init__(self, *words: str, seconds: float) -> None:
        self._words = [sys.executable, "-c", _SENDS, *words, str(seconds)]
        self._seconds = seconds
        self._running = [self._start() for _ in range(_SENDERS)]

    def kill(self, chance: Random) -> None:
        """Kill one of them with `kill -9`, and start another one."""
        chosen = self._running.pop(chance.randrange(_SENDERS))
        chosen.kill()
        chosen.wait(20)
        self._running.append(self._start())

    def close(self) -> None:
        """Kill all."""
        for one in self._running:
            one.kill()
            one.wait(20)

    def _start(self) -> LimitedProcess:
        return LimitedProcess(self._words, seconds=self._seconds, stdin=subprocess.DEVNULL)


def soak(seconds: float, seed: int, folder: Path) -> Run:
    """Run a soak in an empty folder; everything has been stopped when it returns.

    Raises:
        TimeoutError: The webhook did not come to rest in the end.
    """
    run, over = Run(), threading.Event()
    keyring = folder / "keyring.json"
    with ExitStack() as held:
        server = held.enter_context(EmbeddedServer.acquire(folder / "data"))
        service = held.enter_context(
            open_offerlog(
                database_url=server.dsn,
                keyring=keyring,
                organization="default",
                keep_deadlines=False,
                webhook_networks="127.0.0.1",
            )
        )
        receiver = RandomReceiver(run, seed)
        held.callback(receiver.stop)
        made = service.webhooks.create(receiver.url)
        receiver.secret = made.secret
        senders = _Senders(server.dsn, str(keyring), seconds=seconds + 2 * _QUIET_SECONDS)
        held.callback(senders.close)
        threads = [
            threading.Thread(target=_record, args=(service, seed, over), daemon=True),
            threading.Thread(target=_restart, args=(receiver, run, seed, over), daemon=True),
        ]
        for one in threads:
            one.start()
        chance = Random(f"kills {seed}")  # noqa: S311 - repeatable, no secret
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1 + 7 * chance.random()))
            if chance.random() < _LOSES_TURN:
                run.lost_turns += _end_turn(server.dsn)
            else:
                senders.kill(chance)
                run.kills += 1
        over.set()
        for one in threads:
            one.join(60)
        receiver.is_well = True
        _await_quiet(service, until + _QUIET_SECONDS)
        run.given_up = len(service.webhooks.dead_letters(made.endpoint.id))
        run.recorded = _read_log(service)
    return run


def _end_turn(dsn: str) -> int:
    """End the session that holds the turn to send; returns 1, or 0 if there is none."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(_END_TURN).rowcount


def _record(service: Offerlog, seed: int, over: threading.Event) -> None:
    """Record single signals, and batches in which the signals of a visitor stand side by side."""
    chance = Random(f"signals {seed}")  # noqa: S311 - repeatable, no secret
    for number in count():
        if over.wait(chance.random() * _LONGEST_PAUSE):
            return
        visitors = [chance.randrange(_VISITORS) for _ in range(chance.choice((1, 1, 1, 3, 12)))]
        states = _STATES[: 1 if len(visitors) == 1 else chance.randint(1, len(_STATES))]
        service.record(
            [
                signal(state, visitor=one, action=number, actionMapId=_map_id(seed, number))
                for one in dict.fromkeys(visitors)
                for state in states
            ]
        )


def _map_id(seed: int, number: int) -> str:
    """Return another action map each time, so that no signal is refused."""
    return f"{seed % 2**32:08x}-0000-4000-8000-{number:012x}"


def _restart(receiver: RandomReceiver, run: Run, seed: int, over: threading.Event) -> None:
    chance = Random(f"restarts {seed}")  # noqa: S311 - repeatable, no secret
    while not over.wait(2 + 8 * chance.random()):
        receiver.stop()
        run.restarts += 1
        time.sleep(2 * chance.random())
        receiver.start()


def _await_quiet(service: Offerlog, until: float) -> None:
    """Wait until everything was delivered.

    Raises:
        TimeoutError: Something was not delivered by `until`, a time of the monotonic clock.
    """
    while True:
        (one,) = service.webhooks.all()
        if not one.lag_events and not one.endpoint.pending:
            return
        if time.monotonic() > until:
            raise TimeoutError(f"the webhook does not come to rest: {one}")
        time.sleep(0.5)


def _read_log(service: Offerlog) -> list[Event]:
    found: list[Event] = []
    page = service.feed.page(0, limit=1_000)
    while page.events:
        found += [Event(one.visitor, one.position) for one in page.events]
        page = service.feed.page(page.position, limit=1_000)
    return found
