"""The senders of one endpoint: what they send together, how many there are, and their end."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.webhooks import WebhookResult
from offerlog_application.webhooks import sending_at_once
from offerlog_application.webhooks.sending_at_once import MOST_IN_GROUP, Message, SendersOfEndpoint

_URL = "https://a.example"


class _Sender:
    """Sends nothing, and remembers the ids of messages; a test gives the status of each."""

    def __init__(self, answer: Callable[[str], int]) -> None:
        self.sent: list[str] = []
        self.is_closed = False
        self._answer = answer

    def send(self, _: str, message_id: str, *__: object) -> WebhookResult:
        self.sent.append(message_id)
        return WebhookResult(self._answer(message_id), "", None, 0.0)

    def close(self) -> None:
        self.is_closed = True


class _Endpoint:
    """The senders of an endpoint, and how to send to it."""

    def __init__(self, answer: Callable[[str], int] = lambda _: 200) -> None:
        self.made: list[_Sender] = []
        self._answer = answer
        self.senders = SendersOfEndpoint(self._make)  # type: ignore[arg-type] # it sends

    def send(self, text: str) -> list[int | None]:
        """Send messages by their ids, of which the first letter is the visitor; returns the statuses."""
        messages = [Message(one, "{}", one[0]) for one in text.split()]
        results = self.senders.send(_URL, messages, [b"a secret"])
        return [None if one is None else one.status for one in results]

    def _make(self) -> _Sender:
        self.made.append(_Sender(self._answer))
        return self.made[-1]


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes, however busy the machine is, unless a test says so."""
    monkeypatch.setattr(sending_at_once, "time", SimpleNamespace(monotonic=lambda: 0.0))


def test_messages_of_different_visitors_are_sent_at_once_and_those_of_one_in_a_row() -> None:
    """More and more, up to a limit. The end of the process waits for no thread that sends."""
    # given
    together = threading.Barrier(2)  # neither of two messages ends before the other one has begun
    daemons: set[bool] = set()

    def answer(message_id: str) -> int:
        if message_id != "first":
            together.wait(20)
        if threading.current_thread().name == "offerlog-webhook-sending":
            daemons.add(threading.current_thread().daemon)
        return 200

    endpoint = _Endpoint(answer)
    # when
    endpoint.send("first")
    assert endpoint.send("a1 b1 a2 b2") == [200] * 4
    # then
    first, second = (one.sent for one in endpoint.made)
    assert sorted([first[1:], second]) == [["a1", "a2"], ["b1", "b2"]]
    assert daemons == {True}
    quick = _Endpoint()
    assert [(quick.senders.most, quick.send("a"))[0] for _ in range(5)] == [1, 8, 16, 32, MOST_IN_GROUP]


def test_nothing_more_is_sent_behind_a_failure_and_what_was_taken_is_known() -> None:
    """Nor behind the end of an attempt, whose message the receiver may have."""

    def answer(message_id: str) -> int:
        if message_id.endswith("!"):
            raise ClosedError
        return 500 if message_id.endswith("-") else 200

    for text, statuses in (("a1 a2- a3 b", [200, 500, None, None]), ("a1 a2! a3 b", [200, None, None, None])):
        endpoint = _Endpoint(answer)
        assert endpoint.send(text) == statuses
        assert (endpoint.made[0].sent, endpoint.senders.most) == (text.split()[:2], 1)
    with pytest.raises(ClosedError):
        _Endpoint(answer).send("a1! a2")


def test_a_slow_receiver_does_not_delay_the_note_of_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other message is sent after some seconds; then as many as there are connections."""
    now = 0.0

    def answer(_: str) -> int:
        nonlocal now
        now += 2
        return 200

    monkeypatch.setattr(sending_at_once, "time", SimpleNamespace(monotonic=lambda: now))
    endpoint = _Endpoint(answer)
    assert endpoint.send("a1 a2 a3 a4 b") == [200, 200, 200, None, None]
    assert endpoint.senders.most == 2


def test_no_sender_is_made_or_used_after_the_end() -> None:
    """A sender that is made later would never be closed. Those beyond the first one may be closed before."""
    endpoint = _Endpoint()
    endpoint.send("a")
    endpoint.send("a b")
    endpoint.senders.release()
    assert [one.is_closed for one in endpoint.made] == [False, True]
    endpoint.send("a b")
    endpoint.senders.close()
    sent = [list(one.sent) for one in endpoint.made]
    for text in ("a", "a b c"):
        with pytest.raises(ClosedError):
            endpoint.send(text)
    assert [one.is_closed for one in endpoint.made] == [True] * 3
    assert [one.sent for one in endpoint.made] == sent


def test_fewer_connections_send_if_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is sent, and nothing is on its way any more when the results are there."""
    # given
    endpoint = _Endpoint()
    for _ in range(2):
        endpoint.send("a")
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    # when
    results = endpoint.send("a b c d")
    # then
    assert results == [200] * 4
    assert sorted(one for sender in endpoint.made for one in sender.sent) == ["a"] * 3 + ["b", "c", "d"]
    assert not started[0].is_alive()
