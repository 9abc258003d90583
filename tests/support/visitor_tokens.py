"""Visitor tokens as a site's server makes them, written out by the standard and without the client."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from typing import Any


def part(document: Any) -> str:
    """One part of a token."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    key: str, claims: dict[str, Any], header: dict[str, Any] | None = None, secret: bytes | None = None
) -> str:
    """A token with these claims, valid for a minute unless they say so; the key signs it, or a secret."""
    signed = ".".join(
        (
            part({"alg": "HS256", "kid": key.split("_")[2], "typ": "JWT"} | (header or {})),
            part({"exp": int(time.time()) + 60} | claims),
        )
    )
    return f"{signed}.{part(hmac.digest(secret or key.encode(), signed.encode(), 'sha256'))}"
