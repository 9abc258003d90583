"""The visitors of a store: their tokens, and the keys that seal what identifies them.

See docs/decisions/0032.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from offerlog_domain.identity import OfferKey, VisitorKey
from offerlog_domain.stream_ids import CHANCE_BITS, make_stream_id, make_token
from offerlog_domain.uuids import UUID_LENGTH, format_uuid, parse_uuid, unpack_uuid
from offerlog_infrastructure.postgres.store_keys import StoreKeys
from offerlog_infrastructure.random_pieces import RandomPieces
from offerlog_infrastructure.sealing import SECRET_BYTES, VisitorSealer

VISITOR_COLUMNS: Final = "token, digest, kek, organization, wrapped_key, names"
"""The columns of a new visitor's row."""

_WRAPPED_KEY: Final = 4
"""The place of the wrapped key in such a row."""

VISITOR_TYPES: Final = ("int8", "uuid", "int2", "text", "bytea", "bytea")

_REMEMBERED_KEYS: Final = 20_000
"""Number of visitors' keys that are remembered; each takes about half a kilobyte."""

_CHANCE_BYTES: Final = CHANCE_BITS // 8

_secrets: Final = RandomPieces(SECRET_BYTES)
_chances: Final = RandomPieces(_CHANCE_BYTES)

_USUAL_TYPE: Final = "cookie"
"""The type of a browser's ids. It is left out of sealed names."""

_encode: Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode: Final = msgspec.msgpack.Decoder().decode


class OpenStream:
    """A stream whose private fields can be sealed and opened.

    Args:
        stream: Its id in the log.
        sealer: Seals under the visitor's key.
    """

    __slots__ = ("_head", "id", "sealer")

    def __init__(self, stream: UUID, sealer: VisitorSealer) -> None:
        self.id = stream
        self.sealer = sealer
        self._head = stream.bytes

    def seal(self, private: bytes, version: int, name: bytes) -> bytes:
        """Seal the private fields of the event of a stored name at a place of the stream."""
        return self.sealer.seal(private, _place(self._head, version, name))

    def open(self, sealed: bytes, version: int, name: bytes) -> bytes:
        """Open the private fields of the event of a stored name at a place of the stream.

        Raises:
            UnsealError: They were changed, or belong to another place.
        """
        return self.sealer.open(sealed, _place(self._head, version, name))


def place_in_stream(stream: UUID, version: int, name: bytes) -> bytes:
    """Return that to which the private fields of the event of a stored name at a place are bound."""
    return _place(stream.bytes, version, name)


def _place(stream: bytes, version: int, name: bytes) -> bytes:
    return stream + version.to_bytes(4, "big") + name


class NewVisitor(NamedTuple):
    """A visitor who is not stored yet.

    Attributes:
        token: The token.
        sealer: Seals under the new key.
        row: The row of the table, its values in the order of `VISITOR_COLUMNS`.
    """

    token: int
    sealer: VisitorSealer
    row: Sequence[Any]

    def stream(self, action_map_id: UUID) -> OpenStream:
        """Return the visitor's stream of an action map."""
        return OpenStream(make_stream_id(self.token, action_map_id), self.sealer)


class VisitorKeys:
    """The keys of visitors, as the store has them; thread-safe.

    Args:
        keys: Encrypts and decrypts them.
    """

    def __init__(self, keys: StoreKeys) -> None:
        self._keys = keys
        self._sealers: OrderedDict[bytes, VisitorSealer] = OrderedDict()

    def sealer(self, kek: int, wrapped_key: bytes) -> VisitorSealer:
        """Return the sealer of a visitor, from two columns of the row.

        Raises:
            KeyringError: The keyring cannot decrypt the key.
        """
        return self._find(kek, wrapped_key)

    def open_stream(self, token: int, kek: int, wrapped_key: bytes, action_map_id: UUID) -> OpenStream:
        """Return the stream of a stored visitor and an action map.

        Raises:
            KeyringError: The keyring cannot decrypt the key.
        """
        return OpenStream(make_stream_id(token, action_map_id), self._find(kek, wrapped_key))

    def open_names(self, token: int, kek: int, wrapped_key: bytes, names: bytes) -> VisitorKey:
        """Return the identity of a stored visitor.

        Raises:
            KeyringError: The keyring cannot decrypt the key.
            UnsealError: The names were changed, or belong to another visitor.
        """
        return _unpack_names(self._find(kek, wrapped_key).open(names, _bind_names(token)))

    def make(self, offer: OfferKey, visitor: VisitorKey, first_seen: datetime) -> NewVisitor:
        """Make the visitor of an offer, with a token and a key of chance.

        Args:
            offer: Names the visitor's digest and organization.
            visitor: The visitor's identity.
            first_seen: The time at which the first event of the visitor is recorded.
        """
        token = make_token(offer.visitor_digest, first_seen, int.from_bytes(_chances.take(), "big"))
        secret = _secrets.take()
        kek, wrapped = self._keys.wrap(secret)
        sealer = VisitorSealer(secret)
        names = sealer.seal(_pack_names(visitor), _bind_names(token))
        row = (token, offer.visitor_digest, kek, offer.organization, wrapped, names)
        return NewVisitor(token, sealer, row)

    def remember(self, visitor: NewVisitor) -> None:
        """Remember the key of a visitor who has been stored: the next signal comes soon."""
        self._remember(visitor.row[_WRAPPED_KEY], visitor.sealer)

    def forget(self) -> None:
        """Forget all keys: one of them may have been destroyed in the store."""
        self._sealers.clear()

    def _find(self, kek: int, wrapped_key: bytes) -> VisitorSealer:
        sealer = self._sealers.get(wrapped_key)
        if sealer is None:
            sealer = VisitorSealer(self._keys.unwrap(kek, wrapped_key))
            self._remember(wrapped_key, sealer)
        return sealer

    def _remember(self, wrapped_key: bytes, sealer: VisitorSealer) -> None:
        """Remember a key, and forget the one that was remembered first if there are too many."""
        self._sealers[wrapped_key] = sealer
        if len(self._sealers) > _REMEMBERED_KEYS:
            with suppress(KeyError):  # another thread may have cleared them
                self._sealers.popitem(last=False)


def _pack_names(visitor: VisitorKey) -> bytes:
    """Encode an identity: the id, or the type and the id. An id that is a UUID takes 16 bytes."""
    kind, text = visitor
    who: str | UUID = text
    if len(text) == UUID_LENGTH:
        try:
            found = parse_uuid(text)
        except msgspec.ValidationError:
            pass
        else:
            if format_uuid(found) == text:  # byte for byte: not in capitals
                who = found
    return _encode(who if kind == _USUAL_TYPE else (kind, who))


def _unpack_names(packed: bytes) -> VisitorKey:
    names = _decode(packed)
    kind, who = names if isinstance(names, list) else (_USUAL_TYPE, names)
    return VisitorKey(kind, unpack_uuid(who) if isinstance(who, bytes) else who)


def _bind_names(token: int) -> bytes:
    return b"names of %d" % token
