"""The senders of one endpoint: how many there are, and their end."""

import pytest

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.webhooks import WebhookResult
from offerlog_application.webhooks.sending_at_once import Message, SendersOfEndpoint


class _Sender:
    """Sends nothing, and counts."""

    def __init__(self) -> None:
        self.sent = 0
        self.is_closed = False

    def send(self, *_: object) -> WebhookResult:
        self.sent += 1
        return WebhookResult(200, "", None, 0.0)

    def close(self) -> None:
        self.is_closed = True


def test_no_sender_is_made_or_used_after_the_end() -> None:
    """A sender that is made later would never be closed. Those beyond the first one may be closed before."""
    made: list[_Sender] = []

    def make() -> _Sender:
        made.append(_Sender())
        return made[-1]

    senders = SendersOfEndpoint(make)  # type: ignore[arg-type] # it sends
    messages = [Message("1", "{}"), Message("2", "{}"), Message("3", "{}")]
    senders.send("https://a.example", messages[:2], [b"a secret"])
    senders.release()
    assert [(one.sent, one.is_closed) for one in made] == [(1, False), (1, True)]
    senders.send("https://a.example", messages[:2], [b"a secret"])
    senders.close()
    for count in (1, 3):
        with pytest.raises(ClosedError):
            senders.send("https://a.example", messages[:count], [b"a secret"])
    assert [(one.sent, one.is_closed) for one in made] == [(2, True), (1, True), (1, True)]
