"""Identity as values: visitors, action maps, and the streams they live in."""

from collections import OrderedDict
from hashlib import sha256
from typing import Final, NamedTuple, NewType
from uuid import UUID

from msgspec import convert
from pydantic import TypeAdapter, ValidationError

from offerlog_domain.signals import MalformedSignalError, Name, NativeSignal, Uuid, describe_fault
from offerlog_domain.uuids import format_uuid, parse_uuid

ActionMapId = NewType("ActionMapId", str)
"""The id of an action map: a hyphenated UUID in lower case."""


class VisitorKey(NamedTuple):
    """The identity of a visitor within an organization. Two keys are equal if both parts are.

    Attributes:
        type: The kind of the id (wire `customerIdType`); `cookie` in a browser.
        id: The id (wire `customerId`), 1 to 256 characters, byte for byte.
    """

    type: str
    id: str

    def encode(self) -> tuple[bytes, bytes]:
        """Return type and id in UTF-8, in which stores keep and compare them byte for byte."""
        return self.type.encode(), self.id.encode()

    @classmethod
    def decode(cls, type_bytes: bytes, id_bytes: bytes) -> "VisitorKey":
        """Return the key of which these are the parts in UTF-8, as `encode` returns them."""
        return cls(bytes(type_bytes).decode(), bytes(id_bytes).decode())


_NAME: Final[TypeAdapter[str]] = TypeAdapter(Name)
_UUID: Final[TypeAdapter[str]] = TypeAdapter(Uuid)

UUID_BYTES: Final = 16
"""Bytes of a UUID."""


def parse_visitor_key(*, customer_id: str, customer_id_type: str) -> VisitorKey:
    """Check the two parts of a visitor's identity by the rules of a signal's fields.

    Raises:
        MalformedSignalError: Names the wire field at fault, and the reason.
    """
    customer_id = _parse(_NAME, "customerId", customer_id)
    return VisitorKey(_parse(_NAME, "customerIdType", customer_id_type), customer_id)


def parse_action_map_id(text: str) -> ActionMapId:
    """Check the id of an action map by the rules of a signal's fields, and put it into lower case.

    Raises:
        MalformedSignalError: It is not a hyphenated UUID.
    """
    return ActionMapId(_parse(_UUID, "actionMapId", text))


def _parse(adapter: TypeAdapter[str], field: str, text: str) -> str:
    try:
        return adapter.validate_python(text, strict=True)
    except ValidationError as error:
        raise MalformedSignalError(field, describe_fault(error)) from None


_REMEMBERED_STREAMS: Final = 2_000
"""Number of stream ids that a key remembers. The signals of one visitor come close together. A larger memory
does not fit into the processor's cache, and a look-up in it is slower than a new computation."""


_HASH_BLOCK: Final = 64
"""Bytes of a block of SHA-256, to which HMAC fills up a key."""

_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
"""The key of each of HMAC's two hashes, byte by byte (RFC 2104, section 2)."""


class StreamKey:
    """An organization's secret, and the stream ids under it.

    A stream id is a keyed hash. Without the secret nobody can tell from a stream id whose it is, nor compute
    one. The same visitor has unrelated stream ids in two organizations.

    Args:
        secret: 32 bytes that never leave the store.
    """

    def __init__(self, secret: bytes) -> None:
        key = secret.ljust(_HASH_BLOCK, b"\0")
        self._inner_hash = sha256(key.translate(_INNER_PAD))
        self._outer_hash = sha256(key.translate(_OUTER_PAD))
        self._remembered: OrderedDict[tuple[str, str, int], UUID] = OrderedDict()

    def stream(self, visitor: VisitorKey, action_map_id: ActionMapId) -> UUID:
        """Return the stream of one visitor x one action map.

        The hash takes in the length of the id type first, so that two different keys never give the same
        text. The action map's id has a fixed length: its text, because the stored streams were made of that.
        """
        return self._stream(visitor.type, visitor.id, parse_uuid(action_map_id))

    def stream_of(self, signal: NativeSignal) -> UUID:
        """Return the stream of the visitor and the action map that a signal names."""
        return self._stream(signal.customer_id_type, signal.customer_id, signal.action_map_id)

    def _stream(self, customer_id_type: str, customer_id: str, action_map_id: UUID) -> UUID:
        names = customer_id_type, customer_id, action_map_id.int  # an int has a faster hash than its UUID
        remembered = self._remembered.get(names)
        if remembered is not None:
            return remembered
        kind, map_text = customer_id_type.encode(), format_uuid(action_map_id).encode()
        digest = self._keyed_hash(b"%d:%b%b%b" % (len(kind), kind, map_text, customer_id.encode()))
        digest[6] = digest[6] & 0x0F | 0x80  # RFC 9562 version 8: a UUID by the application's own rule
        digest[8] = digest[8] & 0x3F | 0x80
        stream = self._remembered[names] = convert(bytes(digest), UUID)
        if len(self._remembered) > _REMEMBERED_STREAMS:
            self._remembered.popitem(last=False)
        return stream

    def _keyed_hash(self, text: bytes) -> bytearray:
        """Return the first bytes of HMAC-SHA-256 (RFC 2104), in half of the time that `hmac` takes."""
        inner, outer = self._inner_hash.copy(), self._outer_hash.copy()
        inner.update(text)
        outer.update(inner.digest())
        return bytearray(outer.digest()[:UUID_BYTES])
