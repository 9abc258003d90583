"""A log that is sealed and signed, for tests that change it behind offerlog's back."""
# ruff: noqa: S608 - statements of tests, over their own database

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psycopg

from offerlog_application.evidence.evidence import Evidence
from offerlog_application.evidence.findings import AuditReport
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.leaves import hash_events
from offerlog_domain.transparency.notes import SignatureType
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.evidence.checkpoint_folder import CheckpointFolder
from support.journeys import journeys
from support.recount import rows, until

TABLES: Final = ("offerlog_events", "tree_tiles", "tree_progress", "checkpoints")

FLIP: Final = "set_byte(state, {at}, get_byte(state, {at}) # 1)"
"""SQL that changes a byte of a state."""

UNUSED: Final = 400
"""A position that was drawn and given up."""


class AttackedLog:
    """A log of three tiles and a part, with a checkpoint in the middle and one at the end.

    Attributes:
        dsn: The connection string.
        key: The file with the key of the log.
        outside: The folder of checkpoints and tiles.
        size: Number of events.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.key, self.outside = folder / "audit.key", folder / "outside"
        make_audit_key(self.key, "example.com/offers", SignatureType.ED25519, None)
        signals = journeys(330)
        with self.evidence(project=True, record=signals[:380]) as evidence:
            evidence.catch_up()
            assert evidence.progress().size < UNUSED
            self.first = evidence.checkpoint()
            rows(dsn, "SELECT setval('log_positions', %s)", UNUSED)
        with self.evidence(project=True, record=signals[380:]) as evidence:
            evidence.catch_up()
            self.last = evidence.checkpoint()
        self.size = self.last.checkpoint.size
        assert 3 * 256 < self.size < 4 * 256
        for table in TABLES:
            rows(dsn, f"CREATE TABLE public.kept_{table} AS TABLE {table}")
        self._kept = folder / "kept"
        shutil.copytree(self.outside, self._kept)
        self._held = ExitStack()
        self._reader = self._held.enter_context(self.evidence())

    def close(self) -> None:
        """Close the service that verifies."""
        self._held.close()

    @contextmanager
    def evidence(self, *, project: bool = False, record: list[bytes] | None = None) -> Iterator[Evidence]:
        """The evidence of a service over the log."""
        with open_offerlog(
            database_url=self.dsn,
            keep_deadlines=False,
            project=project,
            audit_key=self.key,
            checkpoints=self.outside,
        ) as service:
            if record:
                service.record(record)
            assert service.evidence is not None
            yield service.evidence

    def edit_with_leaf(self, position: int) -> None:
        """Edit an event, and put its new leaf into its tile."""
        self.edit(f"state = {FLIP.format(at=4)}", position)
        row = rows(
            self.dsn,
            "SELECT notification_id, uuid_send(originator_id), originator_version, topic, state"
            " FROM offerlog_events WHERE notification_id = %s",
            position,
        )[0]
        n, place = divmod(position - 1, 256)
        rows(
            self.dsn,
            "UPDATE tree_tiles SET hashes = overlay(hashes PLACING %s FROM %s) WHERE level = 0 AND n = %s",
            hash_events([row])[0],
            place * 32 + 1,
            n,
        )

    def attack(self, *statements: str) -> None:
        """Run statements as the owner of the tables, in one transaction."""
        with psycopg.connect(self.dsn, options=f"-c search_path={SCHEMA}") as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def edit(self, change: str, position: int) -> None:
        """Set columns of the event at a position."""
        self.attack(f"UPDATE offerlog_events SET {change} WHERE notification_id = {position}")

    def allow_any_position(self) -> None:
        """Take away the check of positions, as the owner of the tables can."""
        self.attack("ALTER TABLE offerlog_events DROP CONSTRAINT IF EXISTS positions_begin_with_1")

    def delete(self, which: str) -> None:
        """Delete events."""
        self.attack(f"DELETE FROM offerlog_events WHERE notification_id {which}")

    def verify(self, outside: Path | None = None) -> AuditReport:
        """Verify the log."""
        return self._reader.verify(archive=None if outside is None else CheckpointFolder(outside))

    def checkpoint(self) -> SignedCheckpoint:
        """Sign the log as it is."""
        return self._reader.checkpoint()

    def seal_anew(self) -> None:
        """Let the sealer make the tree from the log as it is now, as a dishonest operator would."""
        self.attack("TRUNCATE tree_tiles, checkpoints", "UPDATE tree_progress SET position = 0, size = 0")
        with self.evidence(project=True) as evidence:
            ((events,),) = rows(self.dsn, "SELECT count(*) FROM offerlog_events")
            until(lambda: evidence.progress().size == events)

    def restore(self) -> None:
        """Put everything back as it was signed."""
        self.attack(
            *(f"DELETE FROM {table}" for table in TABLES),
            *(f"INSERT INTO {table} SELECT * FROM public.kept_{table}" for table in TABLES),
        )
        shutil.rmtree(self.outside)
        shutil.copytree(self._kept, self.outside)
