"""The delivery to one webhook, step by step, in the thread of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from offerlog import NewWebhook, Offerlog
from offerlog_application.webhooks.delivering import EndpointDelivery


@contextmanager
def delivering(service: Offerlog, made: NewWebhook) -> Iterator[EndpointDelivery]:
    """The delivery to a webhook, as a process has it that has just been started."""
    webhooks = service.webhooks
    one = EndpointDelivery(
        made.endpoint.id,
        webhooks._store,
        service.feed,
        webhooks._make_sender,
        webhooks._clock,
        chance=lambda: 0.5,
    )
    try:
        yield one
    finally:
        one.close()


def deliver(service: Offerlog, made: NewWebhook) -> None:
    """Do all that can be done now for a webhook."""
    with delivering(service, made) as delivery:
        go_on(delivery)


def go_on(delivery: EndpointDelivery) -> None:
    """Do all that can be done now."""
    while delivery.step():
        pass
