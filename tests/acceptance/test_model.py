"""The service on a real PostgreSQL against a naive model of it: whatever comes, both say the same."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from offerlog_application.offerlog import Offerlog
from offerlog_application.recording.batches import Receipt
from offerlog_domain.outcomes import OfferBlocked, OfferMade
from offerlog_domain.signals import MalformedSignalError
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.testing.clock import SettableClock
from support.model import MINUTE, Model
from support.model_answers import against, compare_projections, outcomes_of
from support.model_signals import ACTIONS, MAPS, SESSIONS, SIGNAL, VISITORS, WAITS, signal_of
from support.scenario import START


class Comparison(RuleBasedStateMachine):
    """Two services on one log, and the model of what they must come to."""

    def __init__(
        self, services: Sequence[Offerlog], clock: SettableClock, threads: ThreadPoolExecutor
    ) -> None:
        super().__init__()
        self.services, self.clock, self.threads = services, clock, threads
        self.model = Model()
        self.turn = 0

    @initialize()
    def begin(self) -> None:
        """A new organization, at the same time of day."""
        self.organization = f"org-{uuid4().hex}"
        self.clock.set(START)

    @property
    def service(self) -> Offerlog:
        """Each of the two in turn."""
        self.turn += 1
        return self.services[self.turn % 2]

    def send(self, service: Offerlog, batch: list[dict[str, Any]]) -> Future[Receipt]:
        """Hand in a batch."""
        return service.submit([one["raw"] for one in batch], organization=self.organization)

    @rule(drawn=st.lists(SIGNAL, min_size=1, max_size=6))
    def record(self, drawn: list[dict[str, Any]]) -> None:
        """A batch, in any order, of anybody's signals."""
        batch = [signal_of(one, self.clock.now()) for one in drawn]
        assert outcomes_of(self.send(self.service, batch).result(60)) == self.model.record(
            batch, self.clock.now()
        )
        self.compare_histories(batch)

    @rule(
        visitor=st.sampled_from(VISITORS),
        action=st.sampled_from(ACTIONS),
        action_map=st.sampled_from(MAPS),
        states=st.permutations(["offered", "accepted", "started", "engaged"]),
        repeats=st.integers(0, 2),
    )
    def disorder(
        self, visitor: tuple[str, str], action: str, action_map: str, states: list[str], repeats: int
    ) -> None:
        """One action in any order, one signal at a time, with repeats."""
        plain = {"session": SESSIONS[0], "media": "webchat", "version": 3, "broken": False, "ago": 0}
        silent = dict.fromkeys(["id", "code", "message", "timeout", "name"])
        own = {"visitor": visitor, "action": action, "map": action_map}
        for state in [*states, *states[:repeats]]:
            batch = [signal_of(plain | silent | own | {"state": state}, self.clock.now())]
            assert outcomes_of(self.send(self.service, batch).result(60)) == self.model.record(
                batch, self.clock.now()
            )
        self.compare_histories(batch)

    @rule(
        visitor=st.sampled_from(VISITORS),
        action_map=st.sampled_from(MAPS),
        state=st.sampled_from(["offered", "engaged"]),
        first=st.sampled_from([0, 40]),
    )
    def crowd(self, visitor: tuple[str, str], action_map: str, state: str, first: int) -> None:
        """More actions than one visitor-offer remembers refused or holds parked."""
        plain = {"session": SESSIONS[0], "media": "webchat", "version": 3, "broken": False, "ago": None}
        silent = dict.fromkeys(["id", "code", "message", "timeout", "name"])
        own = {"visitor": visitor, "map": action_map, "state": state}
        actions = [str(UUID(int=1_000 + first + n)) for n in range(45)]
        batch = [signal_of(plain | silent | own | {"action": one}, self.clock.now()) for one in actions]
        assert outcomes_of(self.send(self.service, batch).result(60)) == self.model.record(
            batch, self.clock.now()
        )
        self.compare_histories(batch[-1:])

    @rule(drawn=st.lists(SIGNAL, min_size=1, max_size=5))
    def the_same_at_both(self, drawn: list[dict[str, Any]]) -> None:
        """Two writers hear the same at once: whoever is first records, the other has duplicates."""
        batch = [signal_of(one | {"name": None}, self.clock.now()) for one in drawn]
        futures = [self.send(service, batch) for service in self.services]
        got = zip(*(outcomes_of(future.result(60)) for future in futures), strict=True)
        first, second = (self.model.record(batch, self.clock.now()) for _ in range(2))
        assert [sorted(pair) for pair in got] == [sorted(pair) for pair in zip(first, second, strict=True)]
        self.compare_histories(batch)

    @rule(drawn=st.lists(SIGNAL, min_size=4, max_size=12))
    def different_visitors_at_both(self, drawn: list[dict[str, Any]]) -> None:
        """Threads that speak for one visitor each, at both services, do not disturb one another."""
        batch = [signal_of(one | {"name": None, "broken": False}, self.clock.now()) for one in drawn]
        parts = [[one for one in batch if (one["customer"], one["kind"]) == visitor] for visitor in VISITORS]
        futures = [
            self.threads.submit(lambda part, n: self.send(self.services[n % 2], part).result(60), part, n)
            for n, part in enumerate(parts)
        ]
        for part, future in zip(parts, futures, strict=True):
            assert outcomes_of(future.result(60)) == self.model.record(part, self.clock.now())
        self.compare_histories(batch)

    def asked(
        self, visitor: tuple[str, str], action_map: str, timeout: int | None, media: str = "webchat"
    ) -> dict[str, Any]:
        """What an offer is asked with."""
        who = {"customer_id": visitor[0], "customer_id_type": visitor[1], "action_map_id": action_map}
        return who | {
            "session_id": SESSIONS[0],
            "timeout_seconds": timeout,
            "media_type": media,
            "organization": self.organization,
        }

    def decided(
        self, ask: dict[str, Any], decision: OfferMade | OfferBlocked | MalformedSignalError, own: str | None
    ) -> None:
        """The model decides the same, under the same action id, or refuses the caller's own id."""
        action = own if isinstance(decision, MalformedSignalError) else own or decision.action_id
        signal = {
            "customer": ask["customer_id"], "kind": ask["customer_id_type"], "map": ask["action_map_id"],
            "action": action, "state": "offered", "media": ask["media_type"], "at": None,
            "id": None, "session": ask["session_id"], "version": None, "code": None, "message": None,
            "timeout": ask["timeout_seconds"], "name": None, "raw": b"",
        }  # fmt: skip
        expected = self.model.decide(signal, self.clock.now(), named=own is not None)
        if isinstance(decision, MalformedSignalError):
            assert decision.field == "actionId"
            assert expected == (
                "refused: action_over" if "has ended" in str(decision) else "refused: not_legal"
            )
        elif isinstance(decision, OfferMade):
            assert expected is None
            assert own is None or decision.action_id == own
        else:
            assert expected == against(decision.by)
            assert decision.action_id == own
        self.compare_histories([signal])

    @rule(
        visitor=st.sampled_from(VISITORS),
        action_map=st.sampled_from(MAPS),
        own=st.none() | st.sampled_from(ACTIONS),
        timeout=st.sampled_from([None, 60, 1800]),
        media=st.sampled_from(["webchat", "webchat", "contentOffer"]),
    )
    def offer(
        self,
        visitor: tuple[str, str],
        action_map: str,
        own: str | None,
        timeout: int | None,
        media: str = "webchat",
    ) -> None:
        """Ask whether it may be made, then for the offer, with or without an action id of one's own."""
        ask = self.asked(visitor, action_map, timeout, media)
        who = {name: ask[name] for name in ("customer_id", "customer_id_type", "action_map_id")}
        answer = self.service.eligibility(**who, organization=self.organization)
        offer = self.model.of({"customer": visitor[0], "kind": visitor[1], "map": action_map})
        assert against(answer) == self.model.blocker(offer, None, self.clock.now())
        try:
            decision: OfferMade | OfferBlocked | MalformedSignalError = self.service.offer(
                **ask, action_id=own
            )
        except MalformedSignalError as error:
            decision = error
        self.decided(ask, decision, own)

    @rule(
        visitor=st.sampled_from(VISITORS),
        action_map=st.sampled_from(MAPS),
        wait=st.sampled_from([30 * MINUTE, 30 * MINUTE - timedelta(microseconds=1)]),
    )
    def offer_again(self, visitor: tuple[str, str], action_map: str, wait: timedelta) -> None:
        """Just when the silent action lapses, and just before."""
        self.offer(visitor, action_map, None, None)
        self.clock.advance(wait)
        self.offer(visitor, action_map, None, None)

    @rule(visitor=st.sampled_from(VISITORS), action_map=st.sampled_from(MAPS))
    def two_tabs(self, visitor: tuple[str, str], action_map: str) -> None:
        """At most one of them gets the offer."""
        ask = self.asked(visitor, action_map, 60)
        futures = [self.threads.submit(service.offer, **ask) for service in self.services]
        decisions = [future.result(60) for future in futures]
        for decision in sorted(decisions, key=lambda decision: isinstance(decision, OfferBlocked)):
            self.decided(ask, decision, None)

    @rule(wait=st.sampled_from(WAITS), expire=st.booleans())
    def time_passes(self, wait: timedelta, expire: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """The clock goes on; both services may look at once for what is due."""
        self.clock.advance(wait)
        if expire:
            self.expire()

    def expire(self) -> None:
        """Both services look for what is due, at once."""
        for future in [self.threads.submit(service.expire) for service in self.services]:
            future.result(60)
        self.model.expire(self.clock.now())
        self.compare_histories([{"customer": c, "kind": k, "map": m} for c, k, m in self.model.offers])

    def compare_histories(self, touched: list[dict[str, Any]]) -> None:
        """The log holds what the model holds, event by event."""
        for customer, kind, action_map in {
            (one["customer"], one["kind"], one["map"]) for one in touched if "customer" in one
        }:
            history = self.service.history(
                customer_id=customer,
                customer_id_type=kind,
                action_map_id=action_map,
                organization=self.organization,
            )
            events = self.model.of({"customer": customer, "kind": kind, "map": action_map})["events"]
            assert [
                (e.action_id, e.state, e.stage, e.occurred_at, e.recorded_at, e.event_id, e.error_code,
                 e.error_message, e.timeout_seconds, e.action_map_version, e.action_map_name)
                for e in history.events
            ] == [
                (e["action"], e["state"], e["stage"], e["occurred"], e["recorded"], e["id"], e["code"],
                 e["message"], e["timeout"], e["version"], e["name"])
                for e in events
            ]  # fmt: skip
            assert history.state == (events[-1]["state"] if events else None)

    @rule()
    def compare_projections(self) -> None:
        """Suppressions, what waits, refusals and reports are those of the model."""
        compare_projections(self.service, self.organization, self.model)

    def teardown(self) -> None:
        """In the end everything that waited has come to an end, and all lists agree."""
        self.compare_projections()
        self.clock.advance(timedelta(days=1))
        self.expire()
        assert not any(offer["parked"] for offer in self.model.offers.values())
        self.compare_projections()


@pytest.fixture
def services(dsn: str) -> Iterator[tuple[Sequence[Offerlog], SettableClock]]:
    """Two services on one database, with the same clock."""
    clock = SettableClock(START)
    with ExitStack() as opened:
        yield (
            [
                opened.enter_context(open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False))
                for _ in range(2)
            ],
            clock,
        )


def test_the_service_does_what_the_model_does(services: tuple[Sequence[Offerlog], SettableClock]) -> None:
    """Disorder, repeats, batches, offers, deadlines and two writers at once.

    Few examples, always the same ones; `make examples` tries many others.
    """
    examples = os.environ.get("OFFERLOG_EXAMPLES")
    with ThreadPoolExecutor(4) as threads:
        run_state_machine_as_test(
            lambda: Comparison(*services, threads),  # type: ignore[arg-type]  # only ever called
            settings=settings(
                max_examples=int(examples or 12),
                stateful_step_count=25,
                deadline=None,
                derandomize=not examples,
                suppress_health_check=list(HealthCheck),
            ),
        )
