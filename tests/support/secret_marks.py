"""Ids and texts that can be searched for in any file, in every encoding, and signals that hold them."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID, uuid4

from offerlog_application.offerlog import Offerlog
from offerlog_domain.identity import UUID_BYTES

_MARK_BYTES = 12
"""Bytes that all ids of a test share: enough to recognize any of them in one search."""


class Secrets:
    """Ids and texts of some visitors. They share marks that stand nowhere else on this machine."""

    def __init__(self) -> None:
        self._text_mark = uuid4().hex[:24]
        self._id_mark = uuid4().bytes[:_MARK_BYTES]
        self.texts: dict[str, str] = {}
        self._ids: dict[str, UUID] = {}

    def text(self, name: str) -> str:
        """Return a text under a name, always the same."""
        return self.texts.setdefault(name, f"{name}-é-{self._text_mark}-{len(self.texts)}")

    def id(self, name: str) -> str:
        """Return an id under a name, always the same."""
        number = len(self._ids).to_bytes(UUID_BYTES - _MARK_BYTES, "big")
        return str(self._ids.setdefault(name, UUID(bytes=self._id_mark + number)))

    def encodings(self) -> Iterator[tuple[str, bytes]]:
        """Yield the marks in every encoding in which they might stand in a file."""
        yield from _of_text("a text", self._text_mark)
        some_id = UUID(bytes=self._id_mark.ljust(UUID_BYTES, b"\0"))
        marked = str(some_id)[: 2 * _MARK_BYTES + 4]
        yield from _of_text("an id", marked)
        yield from _of_text("an id", marked.replace("-", ""))
        yield "an id, bytes", self._id_mark
        yield "an id, bytes backwards", self._id_mark[::-1]
        yield (
            "an id, bytes of Windows",
            some_id.bytes_le[:_MARK_BYTES],
        )
        for shift in range(3):  # base64 in each position within four characters
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield "an id, base64", encode(b"\0" * shift + self._id_mark)[4:-4]


def _of_text(name: str, text: str) -> Iterator[tuple[str, bytes]]:
    yield f"{name}, text", text.encode()
    yield f"{name}, capitals", text.upper().encode()
    yield f"{name}, UTF-16", text.encode("utf-16-le")
    yield f"{name}, hexadecimal", text.encode().hex().encode()
    yield f"{name}, reversed", text[::-1].encode()
    for shift in range(3):
        yield f"{name}, base64", base64.b64encode(b"\0" * shift + text.encode())[4:-4]


def record_everything(service: Offerlog, secrets: Secrets) -> None:
    """Record signals of every kind, valid all of them; some are parked, refused by the state, or time out."""
    action_map = str(uuid4())

    def signal(visitor: str, action: str, state: str, **more: object) -> Mapping[str, object]:
        return {
            "actionId": secrets.id(f"action {visitor} {action}"),
            "actionState": state,
            "actionMapId": action_map,
            "customerId": secrets.text(f"customer {visitor}"),
            "customerIdType": secrets.text(f"type {visitor}") if visitor == "typed" else "cookie",
            "sessionId": secrets.id(f"session {visitor}"),
            "eventId": secrets.id(f"event {visitor} {action} {state}"),
            "unknownField": secrets.text(f"text of a signal {visitor}"),
            **more,
        }

    lives = {
        "typed": ["offered", "accepted", "started", "engaged"],
        "turned-down": ["offered", "rejected"],
        "early": ["started"],
        "released": ["accepted", "offered", "started", "abandoned"],
        "ignoring": ["offered", "ignored"],
    }
    texts = [signal(visitor, "1", state) for visitor, states in lives.items() for state in states]
    texts += [
        signal("failing", "1", "offered", timeoutSeconds=30),
        signal(
            "failing", "1", "errored", errorCode=secrets.text("code"), errorMessage=secrets.text("message")
        ),
        signal("turned-down", "2", "offered"),  # refused by the state, and remembered
        signal("twice", "1", "offered"),
        signal("twice", "2", "offered"),
        signal("late", "1", "offered"),
        signal("late", "1", "timedout"),
        signal("late", "1", "accepted"),  # illegal by now
    ]
    kinds = {outcome.kind.value for outcome in service.record([json.dumps(one) for one in texts]).outcomes}
    assert kinds >= {"recorded", "parked", "refused"}
    service.offer(
        customer_id=secrets.text("customer offered"),
        action_map_id=action_map,
        session_id=secrets.id("session offered"),
        action_id=secrets.id("action offered"),
    )
    service.wait(service.record([signal("last", "1", "offered")]).position)
    known = secrets.text("customer turned-down")
    assert service.suppressions(known)
    assert service.history(customer_id=known, action_map_id=action_map).events
    assert [*service.suppressed_visitors(action_map)]
    assert [*service.parked()]


def found_in(folder: Path, wanted: list[tuple[str, bytes]]) -> list[str]:
    """Return what stands in which file."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        content = file.read_bytes()
        found += [f"{name}: {file.relative_to(folder)}" for name, text in wanted if text in content]
    return found
