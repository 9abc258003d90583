"""An organization is deleted while another process records for it: its secret is used nowhere afterwards."""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import OrganizationInUseError
from offerlog_application.reading.service_entries import iterate_entries
from offerlog_domain.service_events import OrganizationDeleted, deletion_text
from offerlog_domain.transparency.notes import NoteSignature, SignatureType
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.postgres.log.service_log import PostgresServiceLog
from support.internals import application_of
from support.journeys import an_id, signal
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import rows

_DELETIONS: Final = 2

_RECORDS: Final = """
import json, sys, threading, time
from collections import Counter
from offerlog_infrastructure.composition import open_offerlog
from offerlog_application.recording.writer_errors import OrganizationDeletedError
from support.journeys import signal

over, counts, number, pause, is_first = threading.Event(), Counter(), 0, 0.0, True
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
how = dict(database_url=sys.argv[1], organization="acme", keep_deadlines=False, project=False)
with open_offerlog(**how) as service:
    while not over.is_set():
        number += 1
        refused = signal("offered", visitor=number, sessionId="no id")
        batch = [signal("offered", visitor=number), refused, b"no signal"]
        try:
            service.record(batch)
        except OrganizationDeletedError:
            counts["deleted"] += 1
            pause, is_first = 0.0, True
            print("deleted", flush=True)
        else:
            counts["recorded"] += 1
            if is_first:
                print("recorded", flush=True)
            is_first = False
        time.sleep(pause)  # ever longer, until a deletion finds nothing that is new
        pause += 0.02
print(json.dumps(counts))
"""
"""A new visitor, a refusal of the visitor and a refusal of nobody, in every batch.

Without a projector, which would look for destroyed secrets every second: only the writer's own look finds
them.
"""

_SELECT_VISITORS: Final = """
    SELECT token, kek, wrapped_key, names, digest FROM visitors WHERE organization = 'acme'
"""


def test_a_secret_that_is_destroyed_is_not_used_by_another_process(offerlog: Offerlog, dsn: str) -> None:
    """Each visitor who is stored is found by the customer id, and each text can be read."""
    # given a process that has the secret, and records again and again
    with LimitedProcess(
        [*preloaded_code(_RECORDS), dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, seconds=90
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"recorded\n"
        application = application_of(offerlog)
        secrets = {application.keys.secret("acme")}
        # when
        receipts: list[int | None] = []
        while len(receipts) < _DELETIONS:
            with suppress(OrganizationInUseError):
                receipts.append(offerlog.organization_deletion.delete("acme").receipt)
                assert writer.stdout.readline() == b"deleted\n"
                assert writer.stdout.readline() == b"recorded\n"  # else it would not know the next secret
                secrets.add(application.keys.secret("acme"))
            assert writer.poll() is None
        output, _ = writer.communicate(timeout=60)
    # then
    counts = json.loads(output.splitlines()[-1])
    assert counts["deleted"] == _DELETIONS
    assert counts["recorded"] > counts["deleted"]
    assert None not in receipts
    assert len(secrets) == _DELETIONS + 1
    key = application.keys.key("acme")
    stored = rows(dsn, _SELECT_VISITORS)
    assert [key.digest(application.visitor_keys.open_names(*one)) for *one, _ in stored] == [
        digest for *_, digest in stored
    ]
    refused = list(offerlog.refusals(organization="acme"))
    assert len(refused) == 2 * len(stored)
    assert all(one.raw for one in refused)


def test_the_deletion_has_a_signed_receipt_and_the_organization_begins_anew(
    make_dsn: Callable[[], str], tmp_path: Path
) -> None:
    """A process that reads alone follows within seconds, and finds who is recorded anew."""
    # given
    dsn, key_file = make_dsn(), tmp_path / "audit.key"
    public = make_audit_key(key_file, "shop.example/log", SignatureType.ED25519, None)
    with (
        open_offerlog(
            database_url=dsn, organization="acme", keep_deadlines=False, audit_key=key_file
        ) as service,
        open_offerlog(database_url=dsn, organization="acme", keep_deadlines=False) as reader,
    ):
        service.wait(service.record([signal("offered"), signal("rejected"), b"no signal"]).position)
        assert reader.check_eligibility(customer_id="visitor-1", action_map_id=an_id("map")).known
        ((former,),) = rows(dsn, "SELECT wrapped_secret FROM organizations WHERE organization = 'acme'")
        # when
        deleted = service.organization_deletion.delete("acme")
        # then
        assert rows(dsn, "SELECT count(*) FROM organizations WHERE organization = 'acme'") == [(0,)]
        log = PostgresServiceLog(application_of(service))
        (entry,) = [one for one in iterate_entries(log, "acme") if isinstance(one.event, OrganizationDeleted)]
        assert isinstance(entry.event, OrganizationDeleted)
        assert entry.position == deleted.receipt
        assert (entry.event.visitors, entry.event.refusals, entry.event.keys) == (1, 1, 0)
        signature = NoteSignature.parse(entry.event.signature.rstrip("\n"))
        Ed25519PublicKey.from_public_bytes(public.public).verify(
            signature.data, deletion_text(entry.event).encode()
        )
        # when
        service.wait(service.record([signal("offered"), signal("rejected")]).position)
        # then
        ((secret,),) = rows(dsn, "SELECT wrapped_secret FROM organizations WHERE organization = 'acme'")
        assert secret != former
        _until(lambda: reader.check_eligibility(customer_id="visitor-1", action_map_id=an_id("map")).known)
        assert [one.state for one in reader.suppressions("visitor-1")] == ["rejected"]


def _until(is_so: Callable[[], bool]) -> None:
    """Wait until a process has looked at the epoch, which it does once a second."""
    ends = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.1)
