"""Delivery in the background: one process has the turn, no endpoint delays another, keys are rotated."""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from offerlog import Offerlog, open_offerlog
from offerlog_application.access import rotation
from offerlog_application.ports.master_keys import KeyInUseError
from offerlog_application.webhooks.sending_at_once import MOST_IN_GROUP
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.webhooks import statements
from support.journeys import journeys, signal
from support.receiver import Got, receiving
from support.recount import rows


def opened(dsn: str, keyring: Path) -> Offerlog:
    """A service as a separate process has it."""
    return open_offerlog(
        database_url=dsn,
        keyring=keyring,
        organization="default",
        keep_deadlines=False,
        webhook_networks="127.0.0.1",
    )


def by_visitor(got: Sequence[Got], secret: str) -> dict[str, list[str]]:
    """The kinds of events of each visitor-offer, in the order in which they came."""
    found: dict[str, list[str]] = {}
    for one in got:
        event = one.verify(secret)
        found.setdefault(event["subject"], []).append(event["type"])
    return found


def test_one_process_delivers_and_a_receiver_that_hangs_delays_nobody_else(
    make_dsn: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the end of the service: the attempt is cut, and the next process makes it again."""
    dsn, keyring = make_dsn(), tmp_path / "keyring.json"
    with opened(dsn, keyring) as other, receiving() as hanging, receiving() as working:
        # given
        hanging.held.clear()
        with opened(dsn, keyring) as service:
            made = [service.webhooks.create(one.url) for one in (hanging, working)]
            service.webhooks.keep_delivering()
            service.record([json.dumps(signal("offered"))])
            # when
            hanging.await_requests(1)
            service.record(journeys(3))
            working.await_requests(12)
            sent = by_visitor(working.got, made[1].secret)
            with monkeypatch.context() as unconnected:
                unconnected.delattr(OfferlogApplication, "connect")  # no new connection each second
                assert other.webhooks._store.claim_turn() is None
            began = time.monotonic()
        # then
        assert time.monotonic() - began < 8
        hanging.held.set()
        other.webhooks.keep_delivering()
        hanging.await_requests(13)
        first, again = hanging.got[:2]
        assert first.headers["webhook-id"] == again.headers["webhook-id"]
        assert by_visitor(hanging.got[1:], made[0].secret) == sent


def test_secrets_are_encrypted_anew_when_the_keyring_is_rotated(
    make_dsn: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then their key is not retired."""
    keyring = tmp_path / "keyring.json"
    with opened(make_dsn(), keyring) as service, receiving() as receiver:
        # given
        made = service.webhooks.create(receiver.url, after=0)
        first = FileKeyring(keyring).kek_id
        FileKeyring(keyring).add_key()
        with pytest.raises(KeyInUseError, match="0 organizations and 1 webhook secret; run"):
            service.master_keys.retire(first)
        # when
        service.master_keys.rotate()
        monkeypatch.setattr(rotation, "GRACE_SECONDS", 0)
        service.master_keys.retire(first)
        # then
        service.webhooks.test(made.endpoint.id)
        assert receiver.types(made.secret) == ["webhook-test"]


def test_the_delivery_that_is_due_is_found_without_a_sort_of_all(
    make_dsn: Callable[[], str], tmp_path: Path
) -> None:
    """All that are sent again are due at the same time, and may be many."""
    dsn = make_dsn()
    with opened(dsn, tmp_path / "keyring.json") as service:
        # given
        endpoint = service.webhooks.create("http://127.0.0.1:9/").endpoint.id
        rows(
            dsn,
            """
            INSERT INTO webhook_deliveries (
                endpoint, position, name, visitor, attempts, next_attempt_at, dead_at
            )
            SELECT %s, n, 'offered', n::text, 10, now(), now() FROM generate_series(1, 1000) AS n
            """,
            endpoint,
        )
        assert service.webhooks.send_again(endpoint) == 1_000
        # when
        plan = rows(dsn, f"EXPLAIN {statements.SELECT_DUE}", endpoint, "infinity", MOST_IN_GROUP)
        due = service.webhooks._store.next_due(endpoint, datetime.now(UTC), 2)
    # then
    assert "Sort" not in str(plan)
    assert [one.position for one in due] == [1, 2]
