"""The client: one method for each thing that a program asks of the service.

Made from async_client.py by docs/generate.py (`make docs`); do not edit.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, cast
from uuid import uuid4

import httpx

from offerlog_client.answers import (
    ActionMap,
    Decision,
    Eligibility,
    History,
    OfferOfVisitor,
    Outcome,
    PolicyInForce,
    RecentVisitor,
    Refusal,
    RefusalCounts,
    Signal,
    Suppression,
    Suppressions,
    SuppressionsOfMany,
    TimelineEntry,
)
from offerlog_client.organization import Organization
from offerlog_client.reports import Reports
from offerlog_client.requests import (
    Repeats,
    Time,
    build_query,
    name_visitor,
    read_answer,
    unreachable,
    with_event_id,
)
from offerlog_client.service_error import ServiceError

_BATCH: Final = 1_000
"""Signals of one request."""

_PAGE: Final = 1_000
"""Items of one page of a list."""

_SHORT_PAGE: Final = 100
"""Items of one page of the newest visitors."""


class OfferlogClient(Organization, Reports):
    """A client of the HTTP service of offerlog, for one key; thread-safe.

    A request without an answer, or with one that says so, is sent again. That is safe: the service recognises
    a signal by its event id and an offer by its action id, and the other methods read. Methods for
    administrators that must not be repeated send their request once.

    A method raises `ServiceError` if the service does not answer, or refuses a request.

    Args:
        url: The address of the service.
        key: The text of a key; its role decides which methods may be used.
        timeout: Seconds until a request counts as unanswered.
        patience: Seconds for which a request is repeated in all; 0 sends it once.
        transport: Sends the requests in place of the network, for tests.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        patience: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._patience = patience
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def record(self, signals: Iterable[Signal]) -> Iterator[Outcome]:
        """Record signals; yield the outcome of each, in order, once it is durable.

        They are sent in batches of 1,000, as far as the outcomes are read. To send all, read all:
        `list(client.record(signals))`. A signal without `eventId` gets one, so that a
        repeated request is recognised. The outcome of a signal whose first answer was lost is `duplicate`.

        Raises:
            ServiceError: The service did not answer, or refused a whole request.
        """
        batch: list[Signal] = []
        for signal in signals:
            batch.append(with_event_id(signal))
            if len(batch) == _BATCH:
                yield from self._record(batch)
                batch = []
        if batch:
            yield from self._record(batch)

    def _record(self, batch: Sequence[Signal]) -> list[Outcome]:
        return cast("list[Outcome]", self._ask("POST", "/v1/signals", body=batch)["outcomes"])

    def offer(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        session_id: str,
        customer_id_type: str = "cookie",
        action_id: str | None = None,
        action_map_version: int | None = None,
        timeout_seconds: int | None = None,
    ) -> Decision:
        """Ask to make an offer, and have it recorded if it may be made.

        Args:
            customer_id: The visitor.
            action_map_id: The action map.
            session_id: The visit.
            customer_id_type: The type of the visitor's id.
            action_id: The new action; a random one by default.
            action_map_version: The version of the action map.
            timeout_seconds: Seconds until an unanswered invitation times out.
        """
        asked = {
            "customerId": customer_id,
            "customerIdType": customer_id_type,
            "actionMapId": action_map_id,
            "sessionId": session_id,
            "actionId": action_id or str(uuid4()),
            "actionMapVersion": action_map_version,
            "timeoutSeconds": timeout_seconds,
        }
        return cast("Decision", self._ask("POST", "/v1/offers", body=asked))

    def eligibility(
        self, *, customer_id: str, action_map_id: str, customer_id_type: str = "cookie"
    ) -> Eligibility:
        """Explain whether the map may offer to this visitor, without recording anything."""
        asked = name_visitor(customer_id, customer_id_type) | {"action_map_id": action_map_id}
        return cast("Eligibility", self._ask("GET", "/v1/eligibility", asked))

    def suppressions(self, customer_id: str, *, customer_id_type: str = "cookie") -> Suppressions:
        """List the maps that must not offer to this visitor."""
        asked = name_visitor(customer_id, customer_id_type)
        return cast("Suppressions", self._ask("GET", "/v1/suppressions", asked))

    def suppressions_of(
        self, customer_ids: Iterable[str], *, customer_id_type: str = "cookie"
    ) -> SuppressionsOfMany:
        """List the maps that must not offer to each of at most 1,000 visitors, in one query."""
        visitors = [{"customerId": one, "customerIdType": customer_id_type} for one in customer_ids]
        answer = self._ask("POST", "/v1/suppressions:batch", body={"visitors": visitors})
        return cast("SuppressionsOfMany", answer)

    def suppressed_visitors(self, action_map_id: str) -> Iterator[Suppression]:
        """Yield the visitors to whom this map must not offer."""
        return self._list(f"/v1/action-maps/{action_map_id}/suppressions", {})

    def policy(self, action_map_id: str) -> PolicyInForce:
        """Return the policy of an action map that is in force: how long its terminal states suppress."""
        return cast("PolicyInForce", self._ask("GET", f"/v1/action-maps/{action_map_id}/policy"))

    def set_policy(self, action_map_id: str, suppress_for: Mapping[str, int | str]) -> PolicyInForce:
        """Set the policy of an action map, in place of the one before; return what is in force.

        Args:
            action_map_id: The action map.
            suppress_for: By terminal state, the time for which it suppresses the offer: seconds, or a number
                with a unit such as `30d`. A state that is left out suppresses for ever.
        """
        path, asked = f"/v1/action-maps/{action_map_id}/policy", {"suppress_for": dict(suppress_for)}
        return cast("PolicyInForce", self._ask("PUT", path, body=asked))

    def history(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        version: int | None = None,
        as_of: Time | None = None,
    ) -> History:
        """Return the events of a visitor-offer, of all pages; with `version` or `as_of`, an earlier state."""
        asked = name_visitor(customer_id, customer_id_type) | {
            "action_map_id": action_map_id,
            "version": version,
            "as_of": as_of,
        }
        found = cast("History", self._ask("GET", "/v1/history", asked))
        while found["next_cursor"] is not None:
            more = self._ask("GET", "/v1/history", asked | {"cursor": found["next_cursor"]})
            found["events"] += more["events"]
            found["next_cursor"] = more["next_cursor"]
        return found

    def timeline(self, customer_id: str, *, customer_id_type: str = "cookie") -> Iterator[TimelineEntry]:
        """Yield every event and refused signal of a visitor, in the order in which they were recorded."""
        return self._list("/v1/timeline", name_visitor(customer_id, customer_id_type))

    def refusals(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        reason: str | None = None,
        customer_id: str | None = None,
        action_map_id: str | None = None,
    ) -> Iterator[Refusal]:
        """Yield the refused signals, the oldest first."""
        asked = {
            "since": since,
            "until": until,
            "reason": reason,
            "customer_id": customer_id,
            "action_map_id": action_map_id,
        }
        return self._list("/v1/refusals", asked)

    def refusal_counts(self, *, since: Time | None = None, until: Time | None = None) -> RefusalCounts:
        """Count the refused signals by reason, for whole quarter-hours."""
        asked = {"since": since, "until": until}
        return cast("RefusalCounts", self._ask("GET", "/v1/refusals/counts", asked))

    def action_maps(self) -> Iterator[ActionMap]:
        """Yield the action maps that have been counted."""
        return self._list("/v1/action-maps", {}, "action_maps")

    def visitors(self, *, media_type: str | None = None) -> Iterator[RecentVisitor]:
        """Yield the visitors with the newest activity, the newest first.

        With a media type, those who were made an offer of it.
        """
        return self._list("/v1/visitors", {"media_type": media_type}, most=_SHORT_PAGE)

    def visitor_offers(
        self, customer_id: str, *, customer_id_type: str = "cookie"
    ) -> Iterator[OfferOfVisitor]:
        """Yield all action maps of a visitor, with the state of each."""
        return self._list("/v1/visitor-offers", name_visitor(customer_id, customer_id_type))

    def _list(
        self, path: str, asked: Mapping[str, Any], name: str = "items", most: int | None = None
    ) -> Iterator[Any]:
        """Yield the items of a list, page by page. Each page is a request that may be repeated."""
        cursor: str | None = None
        while True:
            page = self._ask("GET", path, {**asked, "limit": most or _PAGE, "cursor": cursor})
            yield from page[name]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _ask(
        self,
        method: str,
        path: str,
        asked: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        is_sent_once: bool = False,
    ) -> Any:
        """Send a request until it is answered, or the patience is over; return the answer's JSON."""
        query, repeats = build_query(asked or {}), Repeats(0.0 if is_sent_once else self._patience)
        while True:
            try:
                return self._ask_once(method, path, query, body)
            except ServiceError as error:
                wait = repeats.seconds_until_next(error)
            time.sleep(wait)

    def _ask_once(self, method: str, path: str, query: list[tuple[str, Any]], body: Any) -> Any:
        try:
            answer = self._http.request(method, path, params=query, json=body)
        except httpx.TransportError as error:
            raise unreachable(error) from error
        return read_answer(answer)
