"""Which stream a visitor-offer lives in."""

import hmac
from collections import OrderedDict
from typing import Final
from uuid import UUID

_REMEMBERED: Final = 2_000
"""How many stream ids a key remembers: one visitor's signals come close together, and what the processor's
own memory does not hold is slower to look up than to make again."""


class StreamKey:
    """An organization's secret, and the stream ids under it.

    A keyed hash: without the secret nobody can tell from a stream id whose it is, nor make one up, and
    the same visitor has unrelated ids in two organizations.

    Args:
        secret: 32 bytes that never leave the store.
    """

    def __init__(self, secret: bytes) -> None:
        self._keyed = hmac.new(secret, digestmod="sha256")
        self._known: OrderedDict[tuple[str, str, str], UUID] = OrderedDict()

    def stream(self, customer_id_type: str, customer_id: str, action_map_id: str) -> UUID:
        """The stream of one visitor x one action map.

        The type's length stands in front, so that no two (type, id) pairs run together; the map's id
        has a fixed length.
        """
        names = customer_id_type, customer_id, action_map_id
        known = self._known.get(names)
        if known is not None:
            return known
        kind = customer_id_type.encode()
        keyed = self._keyed.copy()
        keyed.update(b"%d:%b%b%b" % (len(kind), kind, action_map_id.encode(), customer_id.encode()))
        digest = bytearray(keyed.digest()[:16])
        digest[6] = digest[6] & 0x0F | 0x80  # RFC 9562 version 8: a UUID of the application's own making
        digest[8] = digest[8] & 0x3F | 0x80
        stream = self._known[names] = UUID(bytes=bytes(digest))
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return stream
