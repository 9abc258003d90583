"""Which stream a visitor-offer lives in."""

import hmac
from uuid import UUID


def visitor_offer_id(secret: bytes, customer_id_type: str, customer_id: str, action_map_id: str) -> UUID:
    """The stream of one visitor x one action map, under the organization's secret.

    A keyed hash: without the secret nobody can tell from a stream id whose it is, nor make one up, and
    the same visitor has unrelated ids in two organizations. The type's length stands in front, so that
    no two (type, id) pairs run together; the map's id has a fixed length.
    """
    kind = customer_id_type.encode()
    message = b"%d:%b%b%b" % (len(kind), kind, action_map_id.encode(), customer_id.encode())
    digest = bytearray(hmac.digest(secret, message, "sha256")[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # RFC 9562 version 8: a UUID of the application's own making
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
