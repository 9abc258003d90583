"""The making of senders. The libraries behind them are loaded at the first one, as few commands send."""

from collections.abc import Sequence

from offerlog_application.ports.webhooks import WebhookSender
from offerlog_infrastructure.webhooks.networks import Network


class HttpSenders:
    """Makes senders of webhooks.

    Args:
        allowed: Networks that need not be public, and where http is enough.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = allowed

    def __call__(self) -> WebhookSender:
        """Make a sender."""
        from offerlog_infrastructure.webhooks.http_sender import HttpSender  # noqa: PLC0415 - see above

        return HttpSender(self._allowed)
