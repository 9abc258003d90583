"""Identity as values: visitors, action maps, and visitor-offers."""

from collections import OrderedDict
from hashlib import sha256
from typing import Final, NamedTuple, NewType
from uuid import UUID

from msgspec import convert
from pydantic import TypeAdapter, ValidationError

from offerlog_domain.signals import MalformedSignalError, Name, NativeSignal, Uuid, describe_fault

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


_NOBODY: Final = VisitorKey("", "")
"""A key that no visitor has."""

_REMEMBERED_OFFERS: Final = 2_000
"""Number of visitor-offers that a key remembers. The signals of one visitor come close together. A larger
memory does not fit into the processor's cache, and a look-up in it is slower than a new computation."""


class OfferKey(NamedTuple):
    """The name of a visitor-offer: one visitor x one action map of an organization.

    Attributes:
        id: The same name as one value, by which a process groups its work. A log may name streams otherwise.
        organization: The tenant.
        visitor_digest: The visitor, by the keyed digest of an `OrganizationKey`.
        action_map_id: The action map.
        visitor: The visitor's identity; None where only the digest is known.
    """

    id: UUID
    organization: str
    visitor_digest: UUID
    action_map_id: UUID
    visitor: VisitorKey | None


class BlockKey(NamedTuple):
    """The name of a blocked offer that may be reported again, so that it is counted once.

    Attributes:
        organization: The tenant.
        visitor_digest: The visitor, by the keyed digest of an `OrganizationKey`.
        digest: The action id or the event id, by a keyed digest as well.
    """

    organization: str
    visitor_digest: UUID
    digest: UUID


_HASH_BLOCK: Final = 64
"""Bytes of a block of SHA-256, to which HMAC fills up a key."""

_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
"""The key of each of HMAC's two hashes, byte by byte (RFC 2104, section 2)."""


class OrganizationKey:
    """An organization's secret, and the digests of visitors under it.

    Without the secret nobody can tell from a digest whose it is, nor compute one. The same visitor has
    unrelated digests in two organizations.

    Args:
        organization: The tenant.
        secret: Its 32 bytes, which never leave the service.

    Attributes:
        organization: The tenant.
    """

    def __init__(self, organization: str, secret: bytes) -> None:
        key = secret.ljust(_HASH_BLOCK, b"\0")
        self.organization = organization
        self._inner_hash = sha256(key.translate(_INNER_PAD))
        self._outer_hash = sha256(key.translate(_OUTER_PAD))
        self._remembered: OrderedDict[tuple[str, str, int], OfferKey] = OrderedDict()

    def digest(self, visitor: VisitorKey) -> UUID:
        """Return a visitor's digest. It takes in the length of the type, so that no two visitors share it."""
        kind, who = visitor.encode()
        return convert(self._keyed_hash(b"%d:%b%b" % (len(kind), kind, who)), UUID)

    def action_digest(self, action_id: UUID) -> UUID:
        """Return an action's digest. No visitor has the same: their texts begin with a digit."""
        return convert(self._keyed_hash(b"action %b" % action_id.bytes), UUID)

    def offer(self, visitor: VisitorKey, action_map_id: UUID) -> OfferKey:
        """Return the name of one visitor x one action map."""
        names = visitor.type, visitor.id, action_map_id.int  # an int has a faster hash than its UUID
        remembered = self._remembered.get(names)
        if remembered is not None:
            return remembered
        digest = self.digest(visitor)
        key = self._remembered[names] = name_offer(self.organization, digest, action_map_id, visitor)
        if len(self._remembered) > _REMEMBERED_OFFERS:
            self._remembered.popitem(last=False)
        return key

    def has_secret_of(self, other: "OrganizationKey") -> bool:
        """Return True if both keys have the same secret, and so give the same digests."""
        return self.digest(_NOBODY) == other.digest(_NOBODY)

    def offer_of(self, signal: NativeSignal) -> OfferKey:
        """Return the name of the visitor and the action map of a signal."""
        return self.offer(VisitorKey(signal.customer_id_type, signal.customer_id), signal.action_map_id)

    def block_of_action(self, offer: OfferKey, action_id: UUID) -> BlockKey:
        """Return the name of the blocked offer of an action, within a visitor-offer of this organization."""
        return self._block(offer, b"action" + offer.action_map_id.bytes + action_id.bytes)

    def block_of_event(self, offer: OfferKey, event_id: UUID) -> BlockKey:
        """Return the name of the blocked offer that an event of the vendor reports of this visitor."""
        return self._block(offer, b"event" + event_id.bytes)

    def _block(self, offer: OfferKey, text: bytes) -> BlockKey:
        digest = convert(self._keyed_hash(b"block" + text), UUID)
        return BlockKey(self.organization, offer.visitor_digest, digest)

    def _keyed_hash(self, text: bytes) -> bytes:
        """Return the first bytes of HMAC-SHA-256 (RFC 2104), in half of the time that `hmac` takes."""
        inner, outer = self._inner_hash.copy(), self._outer_hash.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.digest()[:UUID_BYTES]


def name_offer(
    organization: str, visitor_digest: UUID, action_map_id: UUID, visitor: VisitorKey | None = None
) -> OfferKey:
    """Return the name of a visitor-offer whose visitor is known by the digest.

    Nobody without the organization's secret can choose two pairs with the same id: they would have to know
    how two digests differ.
    """
    both = (visitor_digest.int ^ action_map_id.int).to_bytes(UUID_BYTES, "big")
    return OfferKey(convert(both, UUID), organization, visitor_digest, action_map_id, visitor)
