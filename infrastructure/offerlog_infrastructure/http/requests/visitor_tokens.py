"""Visitor tokens: JSON Web Tokens by which a site's server names the visitor of a page.

A token is a JWS in its compact form (RFC 7515) with the algorithm HS256 and no other. The text of a page key
signs it, and its header names the id of that key. Its claims name one visitor and the time of its end.
"""

import binascii
import hmac
import re
from base64 import urlsafe_b64decode
from typing import Any, Final

import msgspec

from offerlog_domain.errors import OfferlogError
from offerlog_domain.identity import VisitorKey, parse_visitor_key
from offerlog_domain.signals import MalformedSignalError

MAX_TOKEN_SECONDS: Final = 86_400
"""The longest time for which a token may be valid."""

_LEEWAY_SECONDS: Final = 60
"""Seconds by which the clocks of a site and of the service may differ."""

_MAX_BYTES: Final = 8 << 10
"""The most bytes of a token. A customer id of 256 characters fits, however it is escaped."""

_AUDIENCE: Final = "offerlog"
_FORM: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class VisitorTokenError(OfferlogError):
    """A visitor token is not valid; the message says why."""


class _Header(msgspec.Struct):
    alg: str
    kid: str
    crit: Any = None


class _Claims(msgspec.Struct, rename="camel"):
    customer_id: str
    exp: float
    customer_id_type: str = "cookie"
    nbf: float = 0
    aud: str | list[str] = _AUDIENCE


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


def is_visitor_token(text: str) -> bool:
    """Return True if the text of an Authorization header is a token and not a key, which has no dot."""
    return "." in text


def read_key_id(token: str) -> str:
    """Return the id of the key that a token claims to be signed with. Nothing is verified yet.

    Raises:
        VisitorTokenError: The text does not have the form of a token.
    """
    if len(token) > _MAX_BYTES or _FORM.fullmatch(token) is None:
        raise VisitorTokenError("it is not a JSON Web Token of at most 8 KiB")
    try:
        header = _decode_header(_decode_part(token.partition(".")[0]))
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError):
        raise VisitorTokenError('its header needs "alg" and "kid"') from None
    if header.alg != "HS256" or header.crit is not None:
        raise VisitorTokenError("only the algorithm HS256 is accepted, without extensions")
    return header.kid


def verify_visitor_token(token: str, secret: bytes, now: float) -> VisitorKey:
    """Return the visitor that a token names, once `read_key_id` has accepted its form.

    Args:
        token: The token.
        secret: The secret of the key that it claims to be signed with.
        now: The current time, in seconds since 1970.

    Raises:
        VisitorTokenError: The signature is wrong, or the token is not valid now, or its claims are.
    """
    signed, _, signature = token.rpartition(".")
    try:
        given = _decode_part(signature)
    except binascii.Error:
        given = b""
    if not hmac.compare_digest(hmac.digest(secret, signed.encode(), "sha256"), given):
        raise VisitorTokenError("its signature is wrong")
    try:
        claims = _decode_claims(_decode_part(signed.partition(".")[2]))
        visitor = parse_visitor_key(customer_id=claims.customer_id, customer_id_type=claims.customer_id_type)
    except msgspec.MsgspecError as error:
        raise VisitorTokenError(f"its claims cannot be read: {error}") from None
    except (binascii.Error, UnicodeDecodeError):
        raise VisitorTokenError("its claims cannot be read") from None
    except MalformedSignalError as error:
        raise VisitorTokenError(f"{error.field}: {error.cause}") from None
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if _AUDIENCE not in audiences:
        raise VisitorTokenError(f'it is not for "{_AUDIENCE}", but has another "aud"')
    if claims.exp < now - _LEEWAY_SECONDS:
        raise VisitorTokenError("it has expired")
    if claims.exp > now + MAX_TOKEN_SECONDS + _LEEWAY_SECONDS:
        raise VisitorTokenError("it may be valid for at most a day")
    if claims.nbf > now + _LEEWAY_SECONDS:
        raise VisitorTokenError("it is not valid yet")
    return visitor


def _decode_part(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
