"""The last deliveries of webhooks: receivers get the erasures of an organization before its webhooks go."""

import time
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.positions import LogPosition, is_up_to
from offerlog_application.ports.webhooks import WebhookStore

PATIENCE_SECONDS: Final = 5.0
"""Seconds to wait for webhooks that make no progress: nobody delivers, or the receivers do not answer."""

_PAUSE_SECONDS: Final = 0.1


def await_deliveries(
    webhooks: WebhookStore,
    organization: str,
    position: LogPosition,
    on_wait: Callable[[], None] = lambda: None,
    patience: float = PATIENCE_SECONDS,
) -> int:
    """Wait until the webhooks of an organization have got all events up to a position.

    Whoever delivers is another process, or another thread of this one. A webhook that is disabled gets
    nothing, and is not waited for.

    Args:
        webhooks: Endpoints and deliveries.
        organization: The organization.
        position: The position.
        on_wait: Called several times a second; may raise.
        patience: Seconds to wait while there is no progress.

    Returns:
        Number of webhooks that have not got all of them, the disabled ones too.

    Raises:
        StoreUnavailableError: The store cannot be reached.
    """
    seen, until = None, 0.0
    while True:
        found = [one.endpoint for one in webhooks.all(organization)]
        behind = [one for one in found if not is_up_to(position, one.position) or one.pending]
        progress = [(one.id, one.position, one.delivered) for one in behind]
        if progress != seen:
            seen, until = progress, time.monotonic() + patience
        if all(one.disabled_at is not None for one in behind) or time.monotonic() >= until:
            return len(behind)
        on_wait()
        time.sleep(_PAUSE_SECONDS)
