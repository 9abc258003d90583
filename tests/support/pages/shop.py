"""A shop in a real browser that reports to the real service, and what the service then holds."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, Page

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import Role
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, MetricSet
from offerlog_domain.outcomes import Reason
from support.pages.gateway import Gateway
from support.pages.served import Served
from support.pages.site import Site
from support.visitor_tokens import token

CHAT = ("offered", "accepted", "started", "engaged")

Journeys = Mapping[str, tuple[str, ...]]
"""What became of each action. In these tests every action has its own map, whose id names the action."""


@dataclass
class Shop:
    """Pages of a shop, visitors' browsers, and the service that they report to."""

    site: Site
    gateway: Gateway
    served: Served
    log: Offerlog
    context: BrowserContext
    console: list[str] = field(default_factory=list)

    def visit(self, page: str = "shop.html") -> Page:
        """A new tab, once the module is there."""
        tab = self.context.new_page()
        self.go(tab, page)
        return tab

    def go(self, tab: Page, page: str = "shop.html") -> None:
        """Navigate a tab."""
        tab.goto(self.site.url(page))
        tab.wait_for_function("window.log")

    def restart(self, *, kill: bool = False) -> None:
        """The service ends and comes back, elsewhere behind the gateway."""
        if kill:
            self.served.kill()
        else:
            self.served.stop()
        self.served.start()
        self.gateway.upstream = self.served.port

    def visitor_token(self, customer_id: str = "shopper", **claims: object) -> str:
        """A token for a visitor, as the shop's server signs it with a new page key for any origin."""
        _, key = self.log.keys.create(self.log.organization, Role.PAGE, "")
        return token(key, {"customerId": customer_id, **claims})

    def recorded(self) -> Journeys:
        """All that the log holds: the states of every action, in order, each as often as it is there.

        Raises:
            AssertionError: The report counts something else.
        """
        for _ in range(5):  # an event may come between the report and the histories
            with suppress(AssertionError):
                return self._recorded()
        return self._recorded()

    def _recorded(self) -> Journeys:
        self.log.catch_up()
        rows = self.log.report(ReportQuery(self.log.organization, view=MetricSet.ALL)).rows
        found: dict[str, list[str]] = {}
        for row in rows:
            events = self.log.history(customer_id="shopper", action_map_id=row.action_map_id).events
            for event in events:
                found.setdefault(event.action_id, []).append(event.state)
            counted = {state: row.metrics[METRICS[state]] for state in State}
            if counted != {**dict.fromkeys(State, 0), **Counter(event.state for event in events)}:
                raise AssertionError((counted, events))
        return {action: tuple(states) for action, states in found.items()}

    def states_of(self, action_map: str) -> list[str]:
        """The states that the log holds of one map, whoever the visitor is."""
        self.log.catch_up()
        rows = self.log.report(
            ReportQuery(self.log.organization, view=MetricSet.ALL, action_maps=(action_map,))
        ).rows
        return [state for row in rows for state in State for _ in range(row.metrics[METRICS[state]])]

    def refusals(self) -> list[Reason | None]:
        """Why signals were refused."""
        self.log.catch_up()
        return [one.reason for one in self.log.refusals()]


def an_action() -> str:
    """An id nobody has used, for an action and for its map."""
    return str(uuid.uuid4())


def report(tab: Page, journeys: Journeys) -> None:
    """Report all states of these actions, one after the other, at once."""
    tab.evaluate(
        """(journeys) => {
            for (const [id, states] of Object.entries(journeys)) {
                states.forEach((state) => log.report(state, { actionId: id, actionMapId: id }));
            }
        }""",
        journeys,
    )


def answered(tab: Page) -> None:
    """Wait until the service has answered for all that was reported."""
    tab.wait_for_function("log.queued === 0")


def eventually(tab: Page, what: Callable[[], bool]) -> None:
    """Wait until something is the case, and let the browser work meanwhile.

    Raises:
        TimeoutError: It is not, after half a minute.
    """
    end = time.monotonic() + 30
    while not what():
        if time.monotonic() > end:
            raise TimeoutError
        tab.wait_for_timeout(25)


def some(number: int = 3, states: tuple[str, ...] = CHAT) -> Journeys:
    """Actions nobody has heard of, and what is to become of them."""
    return {an_action(): states for _ in range(number)}


def posted(shop: Shop, number: int = 1) -> None:
    """Wait until so many requests have come to the gateway."""
    eventually(shop.context.pages[0], lambda: len(shop.gateway.posts) >= number)


def hide(tab: Page) -> None:
    """What a browser does when a tab goes to the background, which a headless one never does by itself."""
    tab.evaluate(
        """() => {
            Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
