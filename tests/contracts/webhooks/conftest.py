"""A service of either kind that may send to webhooks on this machine, and a receiver."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import pytest

from offerlog import Offerlog
from offerlog.testing import SettableClock
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY
from support.receiver import Receiver, receiving

_LOCAL: Final = "127.0.0.1/32"


@pytest.fixture
def clock() -> SettableClock:
    """The clock of the service."""
    return SettableClock(DAY + timedelta(days=1))


@pytest.fixture(params=EITHER_STORE)
def service(
    request: pytest.FixtureRequest, make_dsn: Callable[[], str], clock: SettableClock
) -> Iterator[Offerlog]:
    """An empty service, which may send to this machine."""
    with open_either(request.param, make_dsn, clock, webhook_networks=_LOCAL) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on this machine."""
    with receiving() as running:
        yield running
