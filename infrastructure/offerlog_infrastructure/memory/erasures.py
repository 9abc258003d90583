"""Erasure, legal holds and all that is held of a visitor, of a log in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from msgspec import structs

from offerlog_application.ports.erasure import BegunErasure, BlankedEvents, HeldRow, LegalHold, LegalHoldError
from offerlog_domain.identity import VisitorKey
from offerlog_domain.service_events import ServiceEvent
from offerlog_domain.stream_ids import first_seen_of, make_visitor_stream_id, token_of
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.visitors import open_private


class MemoryErasures:
    """The application's `Erasures`; thread-safe.

    A method has the errors of the method of `Erasures`, and those that it names.
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._begun: list[BegunErasure] = []
        self._number = 0

    def begin(self, organization: str, digest: UUID, now: datetime) -> Sequence[BegunErasure]:
        """Forget the visitor and the refused texts, and raise the epoch."""
        with self._log.lock:
            if digest in self._log.holds:
                _, since, reason = self._log.holds[digest]
                raise LegalHoldError(reason, since)
            own = 0
            visitor, refusals = self._log.forget_visitor(digest), self._log.forget_refusals(digest)
            blocks = self._log.forget_blocks(digest)
            if visitor is not None or refusals or blocks:
                own = self._number = self._number + 1
                token = None if visitor is None else visitor.token
                self._begun.append(BegunErasure(self._number, organization, digest, token, now, refusals))
                self._log.fence()
            return [replace(one, is_own=one.number == own) for one in self._begun if one.digest == digest]

    def unfinished(self, before: datetime) -> Sequence[BegunErasure]:
        """Return the erasures that were begun before a time and are not complete."""
        with self._log.lock:
            return [one for one in self._begun if one.erased_at < before]

    def delete_late_rows(self, erasure: BegunErasure, until: datetime) -> int:
        """Delete the refused texts that were added meanwhile; returns how many in all.

        Only those that were recorded until a time, and none that a legal hold of a new life protects.
        """
        with self._log.lock:
            if erasure.digest in self._log.holds:
                return erasure.refusals
            self._log.forget_blocks(erasure.digest, until)
            return erasure.refusals + self._log.forget_refusals(erasure.digest, until)

    @contextmanager
    def completing(self, erasure: BegunErasure) -> Iterator[bool]:
        """Keep other threads from the log meanwhile; yields False if the erasure is complete already."""
        with self._log.lock:
            yield any(one.number == erasure.number for one in self._begun)

    def blank_events(self, token: int) -> BlankedEvents:
        """Empty the private fields of a visitor's events."""
        with self._log.lock:
            events = self._log.events_in_order
            own, count = make_visitor_stream_id(token), 0
            for place, one in enumerate(events):
                stream = one.recorded.originator_id
                if token_of(stream) == token and stream != own:
                    events[place] = one._replace(recorded=structs.replace(one.recorded, sealed=b""))
                    count += 1
            return BlankedEvents(count, 0)

    def complete(self, erasure: BegunErasure, position: int | None, now: datetime) -> None:
        """Forget the digest."""
        del position, now
        with self._log.lock:
            self._begun = [one for one in self._begun if one.number != erasure.number]

    def remove_remains(self, *, rewrite: bool) -> None:
        """Do nothing: nothing remains in memory."""
        del rewrite

    def hold(self, organization: str, digest: UUID, reason: str, now: datetime) -> bool:
        """Forbid to erase a visitor, or change the reason; returns False if the visitor is not known."""
        with self._log.lock:
            if self._log.visitors.of_digest(digest) is None:
                return False
            _, since, _ = self._log.holds.get(digest, (organization, now, reason))
            self._log.holds[digest] = organization, since, reason
            return True

    def lift(self, digest: UUID) -> bool:
        """Allow to erase a visitor again; returns False if there was no hold."""
        with self._log.lock:
            return self._log.holds.pop(digest, None) is not None

    def holds(self, organization: str) -> Sequence[LegalHold]:
        """Return the holds of an organization, oldest first."""
        with self._log.lock:
            found = []
            for digest, (name, since, reason) in self._log.holds.items():
                visitor = self._log.visitors.of_digest(digest)
                if name == organization and visitor is not None:
                    found.append(LegalHold(visitor.key, since, reason))
            return sorted(found, key=lambda hold: hold.since)

    def held_rows(self, organization: str, digest: UUID, visitor: VisitorKey) -> Sequence[HeldRow]:
        """Return all that is held of a visitor; empty if nothing is held."""
        with self._log.lock:
            known = self._log.visitors.of_digest(digest)
            found: list[HeldRow] = []
            if known is not None:
                identity = {
                    "organization": organization,
                    "customer_id": visitor.id,
                    "customer_id_type": visitor.type,
                    "first_seen": first_seen_of(known.token),
                }
                found = [HeldRow("visitors", identity), *self._events(known.token)]
                found += self._projected(known.token)
                found += [
                    HeldRow("named_actions", {"action_map_id": action_map_id, "recorded_at": at})
                    for action_map_id, at in self._log.short_signals.known_actions(digest)
                ]
            found += [
                HeldRow(
                    "refusals",
                    {
                        "recorded_at": one.recorded_at,
                        "reason": one.reason.value,
                        "field": one.field,
                        "cause": one.cause,
                        "action_map_id": one.action_map_id,
                        "raw_length": one.raw_length,
                        "raw": one.raw,
                    },
                )
                for one in self._log.refusals.values()
                if one.visitor_digest == digest
            ]
            found += [
                HeldRow("counted_blocks", {"recorded_at": recorded_at, "digest": key.digest})
                for key, recorded_at in self._log.counted_blocks_at.items()
                if key.visitor_digest == digest
            ]
            if digest in self._log.holds:
                _, since, reason = self._log.holds[digest]
                found.append(HeldRow("legal_holds", {"since": since, "reason": reason}))
            return found

    def _events(self, token: int) -> Iterator[HeldRow]:
        for position, sealed in self._log.events_in_order:
            event = sealed.event
            if token_of(sealed.originator_id) != token:
                continue
            fields = {
                "position": position,
                "stream": sealed.originator_id,
                "version": sealed.originator_version,
                "stored_as": f"{event.stored_name}.{event.stored_version}",
                **structs.asdict(event),
            }
            if not isinstance(event, ServiceEvent):
                fields |= structs.asdict(open_private(sealed.sealed))
            yield HeldRow("offerlog_events", fields)

    def _projected(self, token: int) -> Iterator[HeldRow]:
        for (stream, version), row in self._log.parked.items():
            if row.visitor == token:
                yield HeldRow(
                    "parked_signals",
                    {
                        "stream": stream,
                        "version": version,
                        "action_map_id": row.action_map_id,
                        "parked_at": row.parked_at,
                        "position": row.position,
                        "raw_length": row.raw_length,
                        **structs.asdict(open_private(row.sealed)),
                    },
                )
        for key, listed in self._log.suppressions.items():
            if key.visitor == token:
                yield HeldRow(
                    "suppressions",
                    {
                        "version": listed.version,
                        "action_map_id": key.action_map_id,
                        "state": listed.state.value,
                        "since": listed.since,
                        **structs.asdict(open_private(listed.sealed)),
                    },
                )
