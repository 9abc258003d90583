"""One look at an installation and what is around it. It changes and upgrades nothing, and does not wait long.

Of several servers, each other than the home has a thread that reads it. One that does not answer soon is
named, and holds up nothing.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from offerlog_application.ports.keyring import KeyringError
from offerlog_application.ports.sealed_tree import AuditKeyError
from offerlog_application.ports.shards import HOME, ShardError
from offerlog_application.ports.webhooks import WebhookLag
from offerlog_application.status.observation import (
    Observation,
    ObservedDisk,
    ObservedKeyring,
    ObservedShard,
    services_among,
)
from offerlog_application.webhooks.lags import add_lags, positions_in_log
from offerlog_domain.context import Rules
from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.evidence.audit_key import USUAL_NAME, read_audit_key
from offerlog_infrastructure.evidence.witness_settings import read_witnesses
from offerlog_infrastructure.keyring.file_keyring import default_keyring
from offerlog_infrastructure.keyring.keyring_file import read_file
from offerlog_infrastructure.observing.machine import observe_disk, read_faults
from offerlog_infrastructure.observing.services import ask_services
from offerlog_infrastructure.observing.store_reading import ReadShard, ReadStore, WatchedStore, read_store
from offerlog_infrastructure.postgres.migrations import migrations
from offerlog_infrastructure.server_address import add_password
from offerlog_infrastructure.settings import StoreSettings
from offerlog_infrastructure.shard_places import place_of_shard

_FIRST_ANSWER_SECONDS: Final = 1.0
"""Seconds for which the first answer of each server other than the home is awaited."""

_ALL_ANSWERS_SECONDS: Final = 10.0
"""Seconds for which all its answers are awaited. Each single one has a limit, too."""


def observe(store: WatchedStore, settings: StoreSettings, now: datetime) -> Sequence[Observation]:
    """Look at a store, its keyring, its services and its machine; of several servers at each, the home first.

    Args:
        store: The store; of several, the home.
        settings: The settings, for all but its place.
        now: The time.

    Raises:
        ServerAddressError: The address cannot be read.
        ShardError: The store is one of several, and not the home.
    """
    folder = None if store.database_url is not None else store.folder
    read = read_store(store, settings.rules, now)
    if read.shard is not None and read.shard.number != HOME:
        raise ShardError(f"this store is shard {read.shard.number} of several: look at the home of them all")
    webhooks = () if read.figures is None else read.figures.webhooks
    others = _ShardLooks(store, read.shard, settings.rules, now, webhooks)
    place = (store.keyring or default_keyring()).expanduser().absolute()
    audit_key = (settings.audit_key or place.with_name(USUAL_NAME)).expanduser()
    clients = () if read.figures is None else services_among(read.figures.clients)
    seen = Observation(
        at=now,
        version=version("offerlog"),
        store=store.name,
        is_embedded=folder is not None,
        known_migration=max(migrations()),
        migration=read.migration,
        figures=read.figures,
        trouble=read.trouble,
        advice=read.advice,
        disk=_observe_disk(folder),
        keyring=_observe_keyring(place),
        services=ask_services(clients),
        server_log=None if folder is None else read_faults(DataFolder(folder).log, now),
        has_audit_key=_has_audit_key(audit_key),
        checkpoints=None if settings.checkpoints is None else str(settings.checkpoints),
        checkpoint_period=settings.checkpoint_period,
        witnesses=[one.key.name for one in read_witnesses(settings.witnesses or "")],
        rules=settings.rules,
        shard=None if read.shard is None else _observe_shard(read.shard, read.shard.number, read),
    )
    found_there = others.results()
    if seen.figures is not None:  # those of the home alone have webhooks, and these get the events of all
        lags = {one.number: found.lags for one, found in found_there}
        seen = replace(seen, figures=replace(seen.figures, webhooks=add_lags(webhooks, lags)))
    return [
        seen,
        *(
            replace(
                seen,
                store=one.name,
                is_embedded=False,
                migration=found.migration,
                figures=found.figures,
                trouble=found.trouble,
                advice=found.advice,
                disk=None,
                server_log=None,
                has_audit_key=_has_audit_key(place_of_shard(audit_key, one.number)),
                checkpoints=None
                if settings.checkpoints is None
                else str(place_of_shard(Path(settings.checkpoints), one.number)),
                shard=_observe_shard(one.home, one.number, found),
            )
            for one, found in found_there
        ),
    ]


class _ShardLook:
    """The look at a server other than the home, on a thread.

    Attributes:
        number: The number of the server.
        name: Its place, for people.
        home: The home.
    """

    def __init__(
        self,
        number: int,
        store: WatchedStore,
        home: ReadShard,
        rules: Rules,
        now: datetime,
        *,
        webhooks: Sequence[WebhookLag],
    ) -> None:
        self.number, self.name, self.home = number, store.name, home
        self._store, self._rules, self._now = store, rules, now
        self._positions = positions_in_log(webhooks, number)
        self._has_answered = threading.Event()
        self._found: ReadStore | None = None
        self._thread = threading.Thread(target=self._read, name=f"offerlog-look-{number}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._found = read_store(
                self._store, self._rules, self._now, self._has_answered.set, self._positions
            )
        finally:
            self._has_answered.set()

    def result(self, began: float) -> ReadStore:
        """Return what was read, or that there was no answer in time.

        Args:
            began: The time when the looks began, by the monotonic clock.
        """
        if self._has_answered.wait(max(began + _FIRST_ANSWER_SECONDS - time.monotonic(), 0)):
            self._thread.join(max(began + _ALL_ANSWERS_SECONDS - time.monotonic(), 0))
        found = self._found
        if found is None:
            return ReadStore(
                trouble=f"{self.name} does not answer in time",
                advice="look at this server: it, its machine or the network hangs, or is very slow",
            )
        if found.trouble is None and found.migration == max(migrations()) and not self._is_right(found):
            return ReadStore(
                trouble=f"the store at {self.name} is not shard {self.number} of this installation",
                advice="`offerlog shards status` shows the addresses; the one or the other was exchanged",
            )
        return found

    def _is_right(self, found: ReadStore) -> bool:
        shard = found.shard
        return shard is not None and (shard.number, shard.installation) == (
            self.number,
            self.home.installation,
        )


class _ShardLooks:
    """The looks at all servers other than the home; they go on from the moment when this is made."""

    def __init__(
        self,
        store: WatchedStore,
        home: ReadShard | None,
        rules: Rules,
        now: datetime,
        webhooks: Sequence[WebhookLag],
    ) -> None:
        self._began = time.monotonic()
        self._looks = [
            _ShardLook(number, _at(store, url, home.password), home, rules, now, webhooks=webhooks)
            for number, url in (() if home is None else home.addresses.items())
            if home is not None
        ]

    def results(self) -> Sequence[tuple[_ShardLook, ReadStore]]:
        """Return what each has read, in the order of their numbers."""
        return [(one, one.result(self._began)) for one in self._looks]


def _at(home: WatchedStore, url: str, password: str) -> WatchedStore:
    """Return the store at an address of the directory."""
    return replace(
        home,
        name=url,
        data=None,
        database_url=add_password(url, password) if password and not _has_password(url) else url,
    )


def _has_password(url: str) -> bool:
    return bool(conninfo_to_dict(url).get("password"))


def _observe_shard(home: ReadShard, number: int, found: ReadStore) -> ObservedShard:
    slices = [one for one, shard in sorted(home.directory.items()) if shard == number]
    return ObservedShard(number, slices, None if found.shard is None else found.shard.owned)


def _observe_disk(folder: Path | None) -> ObservedDisk | None:
    return None if folder is None or not folder.is_dir() else observe_disk(folder)


def _observe_keyring(place: Path) -> ObservedKeyring:
    try:
        found = read_file(place)
    except KeyringError as error:
        return ObservedKeyring(str(place), None, (), str(error))
    if found is None:
        return ObservedKeyring(str(place), None, (), None)
    return ObservedKeyring(str(place), found.current, list(found.keys), None)


def _has_audit_key(place: Path) -> bool:
    try:
        return read_audit_key(place) is not None
    except AuditKeyError:  # there is one, and its trouble shows as a missing checkpoint
        return True
