"""Callers that may ask for offers: servers with a service key, and pages with a visitor token.

A page is a stranger's program. So it may ask for the visitor of its token alone, from the origins of the page
key alone, at the rates of a public key, and with few new action maps. It is told as little as it needs.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from offerlog_application.ports.keys import Key, Role
from offerlog_domain.identity import VisitorKey, parse_action_map_id
from offerlog_infrastructure.http.peers import peer_of
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.requests.access import (
    bearer,
    check_origin,
    check_role,
    find_key,
    find_visitor,
)
from offerlog_infrastructure.http.requests.models import Offer
from offerlog_infrastructure.http.requests.rates import rate_limited
from offerlog_infrastructure.http.requests.visitor_tokens import is_visitor_token
from offerlog_infrastructure.http.state import set_key, state_of


@dataclass(frozen=True, slots=True)
class OfferCaller:
    """Caller that may ask for an offer.

    Attributes:
        key: The service key, or the page key that the visitor token was signed with.
        visitor: The visitor of the token; None for a service key, which may ask for any visitor.
    """

    key: Key
    visitor: VisitorKey | None


async def find_offer_caller(request: Request) -> OfferCaller:
    """Return the caller of a request for an offer.

    Raises:
        ProblemError: 401, no valid key or token; 403, another role or origin; 429, too many requests.
    """
    text = bearer(request)
    if text is None or not is_visitor_token(text):
        key = await find_key(request, text)
        if key.role is Role.PAGE:
            raise ProblemError(
                "forbidden",
                "a page key is not sent: it signs visitor tokens on the site's server, and pages send those",
            )
        check_origin(check_role(key, Role.SERVICE), request)
        set_key(request, key)
        return OfferCaller(key, None)
    key, visitor = await find_visitor(request, text)
    if request.headers.get("origin") is None and key.origins:
        raise ProblemError("forbidden", "a visitor token is for browsers, which send Origin", field="Origin")
    check_origin(key, request)
    set_key(request, key)
    state = state_of(request)
    state.widget_rates.take(key.id, peer_of(request))
    if not state.visitor_rates.take((key.organization, visitor)):
        wait = state.visitor_rates.wait((key.organization, visitor))
        raise rate_limited("too many requests for offers to this visitor", wait)
    return OfferCaller(key, visitor)


OfferMaker = Annotated[OfferCaller, Depends(find_offer_caller)]
"""Caller that may ask for offers."""


async def check_page_offer(request: Request, caller: OfferCaller, asked: Offer) -> None:
    """Check that a page asks for its own visitor, and does not bring up too many action maps.

    Raises:
        ProblemError: 403, the token is for another visitor; 429, too many new action maps.
        MalformedSignalError: The id of the visitor or of the action map is not valid.
    """
    if caller.visitor != VisitorKey(asked.customer_id_type, asked.customer_id):
        raise ProblemError("forbidden", "the visitor token is for another visitor", field="customerId")
    action_map = parse_action_map_id(asked.action_map_id)
    await state_of(request).widget_maps.admit_maps(caller.key.organization, peer_of(request), {action_map})
