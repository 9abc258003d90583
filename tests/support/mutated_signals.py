"""Texts that are signals, or nearly: each is a usual one with a few changes of its members or its bytes.

The values are those in which JSON readers and validators differ.
"""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from support.wire import BLOCKED, BROWSER, ID, REQUIRED, STORED

TEXTS: Final = int(os.environ.get("OFFERLOG_FUZZ_SIGNALS", "600"))
"""Number of mutated texts that a run tries; `make fuzz-signals` tries more."""

SEED: Final = int(os.environ.get("OFFERLOG_FUZZ_SEED") or secrets.randbits(32))

_IDS: Final = [
    f'"{text}"'
    for text in (
        ID, ID.upper(), ID.replace("a", "A"), ID.replace("-", ""), "{" + ID + "}", f"urn:uuid:{ID}",
        ID + "\\n",
        ID[:-1], ID + "0", ID[:-1] + "g", ID[1:9] + ID[:1] + ID[9:], ID[:9] + "-" + ID[10:], "-" * 36,
        "0" * 36,
        ID.replace("-", "", 1) + "-", ID[:8] + ID[9:13] + "-" + ID[13:] + "0", "\\u0031" + ID[1:],
        "\\u0031" + ID.replace("-", "")[1:], ID.replace("-", "\\u002d"), ID.replace("1", "\uff11", 1),
        ID[:-1] + "é", ID.replace("-", "_"), " " + ID[1:], "f" * 32, "F" * 36,
        "00000000-0000-0000-0000-000000000000",
    )
]  # fmt: skip
_DAYS: Final = (
    "2026-11-22",
    "2024-02-29",
    "2026-02-29",
    "0001-01-01",
    "9999-12-31",
    "0000-01-01",
    "2026-W47-7",
)
_CLOCKS: Final = ("10:00:00", "23:59:59", "23:59:60", "24:00:00", "10:00", "100000", "10:60:00", "00:00:00")
_FRACTIONS: Final = (
    "", ".", ".1", ".123", ".123456", ".1234567", ".123456500", ".9999999", ".999999999999", ",123", ".12a",
    ".000000000000000000001",
)  # fmt: skip
_OFFSETS: Final = (
    "Z", "z", "+00:00", "-00:00", "+0000", "+05:45", "+0545", "-23:59", "+24:00", "+00", "+00:01",
    "-00:01", "", "Z ",
    " Z", "+00:60", "+00:00:00", "\\u005a", "Z\\u0000",
)  # fmt: skip
_NUMBERS: Final = (
    "0", "-0", "1", "45", "86400", "86401", "-1", "1.0", "45.0", "1e0", "1E2", "1e-1", "0.5", "-0.0",
    "01", "1.", ".5", "+1",
    "-", "1e", "0x1", "NaN", "Infinity", "-Infinity", "1e400", "1e-400", str(2**31), str(2**53 + 1),
    str(2**63 - 1),
    str(2**63), str(-(2**63)), str(-(2**63) - 1), str(2**64), "9" * 40, "9" * 257, "9" * 4_400, "0" * 40,
)  # fmt: skip
_WORDS: Final = ("null", "true", "false", "nul", "None", "[]", "{}", "[null]", '{"a":1}', '[{"a":[1,2]}]')
_STRINGS: Final = [
    f'"{text}"'
    for text in (
        "", " ", "x", "3", "1.0", "null", "cookie", "webchat", "WebActionEvent", "x" * 255, "x" * 256,
        "x" * 257,
        "é" * 256, "é" * 257, "\U0001f6d2" * 256, "\U0001f6d2" * 257, "\\u00e9" * 256, "\\u00e9" * 257,
        "\\ud83d\\uded2" * 256, "\\ud83d\\uded2" * 257, "y" * 4_096, "y" * 4_097, "\\u0079" * 700,
        "\\ud800", "\\udc00\\ud800",
        "\\ud83d\\uded2", "\\ud83dx", "\\u0000", "\\u12", "\\x", "\\/", '\\b\\f\\n\\r\\t\\"\\\\',
        "\x01", "\t", "\n", "\x7f",
        "\udcff", "\udcc3\udca9", "\udced\udca0\udc80", "\udcc0\udc80", "\u2028", "\ufeff",
        "a\\u0062c", "e\u0301",
    )
]  # fmt: skip
_STATES: Final = [
    f'"{text}"'
    for text in (
        "offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned",
        "engaged",
        "qualified", "completed", "frequencyCapReached", "Offered", "offered ", "timed_out", "OFFERED",
        "\\u006fffered",
    )
]  # fmt: skip
_UNKNOWN: Final = (
    "x", "", "eventType", "id", "session", "webActionEvent", "action_id", "ACTIONID", "a\\u0063tionId",
    "createdDat\\u0065",
    "\\ud800", "\udcff", "\\u0000", "\x02", "é", "eventBody", "entities", "event\\u0054ype",
    "customerId ", "__class__",
)  # fmt: skip
_BYTES: Final = b'"\\{}[]:,0123456789-+.eEtfnuZT \t\r\n\x00\x0b\x0c\x1f\x7f\x80\xbf\xc3\xe9\xed\xff/'

Members = list[tuple[str, str]]


SIGNALS: Final = (BROWSER, BROWSER, BROWSER, REQUIRED, STORED, STORED)
"""The signals of states that are changed, the frequent ones several times."""


def mutate(random: Random, sources: Sequence[Mapping[str, Any]] = SIGNALS) -> bytes:
    """Return the next text: in most cases one of some usual signals with one to four changes."""
    source = random.choice(sources)
    members: Members = [(json.dumps(name), json.dumps(value)) for name, value in source.items()]
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        _change_member(members, random)
    if random.random() < 0.3:
        random.shuffle(members)
    space = random.choice(("", "", "", "", " ", " ", "\n\t ", "\r\n", "\x0c"))
    text = f",{space}".join(f"{name}{space}:{space}{value}" for name, value in members)
    written = bytearray((space + "{" + text + "}" + space).encode("utf-8", "surrogateescape"))
    for _ in range(random.choice((0, 0, 0, 0, 1, 2))):
        _change_bytes(written, random)
    return bytes(written)


def _change_member(members: Members, random: Random) -> None:
    """Change, drop, repeat or add a member."""
    kind = random.random()
    at = random.randrange(len(members)) if members else 0
    if kind < 0.6 and members:
        name, _ = members[at]
        members[at] = name, _value(name, random)
    elif kind < 0.68 and members:
        del members[at]
    elif kind < 0.8 and members:
        name, value = members[at]
        repeated = value if random.random() < 0.3 else _value(name, random)
        members.insert(random.randrange(len(members) + 1), (name, repeated))
    elif kind < 0.85 and members:
        name, value = members[at]
        letter = random.randrange(1, max(2, len(name) - 1))
        members[at] = f"{name[:letter]}\\u{ord(name[letter]):04x}{name[letter + 1 :]}", value
    else:
        depth = random.choice((1, 100, 198, 199, 200, 201, 300))
        nested = random.choice(('{"a":', "[")), random.choice(("}", "]"))
        value = nested[0] * depth + "1" + nested[1] * depth if random.random() < 0.2 else _any(random)
        members.insert(random.randrange(len(members) + 1), (f'"{random.choice(_UNKNOWN)}"', value))


_KINDS: Final[dict[str, Sequence[str]]] = {
    **dict.fromkeys(("actionId", "actionMapId", "sessionId", "eventId", "id"), _IDS),
    **dict.fromkeys(("actionState", "state"), _STATES),
    **dict.fromkeys(("timeoutSeconds", "actionMapVersion", "version"), _NUMBERS),
    "errorCode": [*_STRINGS, *_NUMBERS],
}
"""The values of each member that is not any text."""


_BLOCK: Final = BLOCKED["blockedWebActionOfferEvent"]
_OBJECTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "session": STORED["session"],
    "webActionEvent": STORED["webActionEvent"],
    "action": STORED["webActionEvent"]["action"],
    "actionMap": STORED["webActionEvent"]["actionMap"],
    "blockedWebActionOfferEvent": _BLOCK,
}
"""The members that are objects, as they usually are."""


def _value(name: str, random: Random) -> str:
    """Return a value for a member, mostly of the kind that it should have."""
    bare = name.strip('"')
    if bare in _OBJECTS and random.random() < 0.8:
        return _nested(bare, random)
    if random.random() < 0.2:
        return _any(random)
    return f'"{_time(random)}"' if bare == "createdDate" else random.choice(_KINDS.get(bare, _STRINGS))


def _nested(name: str, random: Random) -> str:
    """Return an object of the vendor's stored forms with a change inside."""
    source = _OBJECTS[name]
    members: Members = [(json.dumps(inner), json.dumps(value)) for inner, value in source.items()]
    _change_member(members, random)
    return "{" + ",".join(f"{inner}:{value}" for inner, value in members) + "}"


def _time(random: Random) -> str:
    parts: Sequence[Sequence[str]] = (_DAYS, ("T", "T", "t", " ", "_", ""), _CLOCKS, _FRACTIONS, _OFFSETS)
    usual = ("2026-11-22", "T", "10:00:00", ".123", "Z")
    return "".join(
        random.choice(choices) if random.random() < 0.4 else one
        for choices, one in zip(parts, usual, strict=True)
    )


def _any(random: Random) -> str:
    return random.choice(random.choice((_NUMBERS, _WORDS, _STRINGS, _IDS, _STATES)))


def _change_bytes(text: bytearray, random: Random) -> None:
    """Change, insert, remove or repeat a few bytes; cut the end, or add to it."""
    at = random.randrange(len(text) + 1)
    end = min(len(text), at + random.choice((1, 1, 2, 8)))
    kind = random.randrange(6)
    if kind == 0:
        text[at:end] = bytes([random.choice(_BYTES)])
    elif kind == 1:
        text[at:at] = bytes([random.choice(_BYTES)])
    elif kind == 2:
        del text[at:end]
    elif kind == 3:
        text[at:at] = text[at:end]
    elif kind == 4:
        del text[max(at, len(text) - 8) :]
    else:
        text += random.choice((b" ", b"\n", b"\x00", b"{}", b",", b"}", b"x", b"\xef\xbb\xbf"))
        if random.random() < 0.3:
            text[:0] = b"\xef\xbb\xbf"
