"""Visitor tokens, which a site's server signs so that the page of one visitor may ask for offers."""

import hmac
import json
import time
from base64 import urlsafe_b64encode

_PARTS = 4


def visitor_token(
    page_key: str, customer_id: str, *, customer_id_type: str = "cookie", seconds: int = 3_600
) -> str:
    """Sign a visitor token: a JSON Web Token with the algorithm HS256.

    Args:
        page_key: The text of a key with the role `page`. It must not reach a browser.
        customer_id: The visitor, who has shown it to the site, for instance by a cookie.
        customer_id_type: The type of that id.
        seconds: How long the token is valid, at most a day.

    Raises:
        ValueError: The key is not a page key, or the time is too long.
    """
    parts = page_key.split("_", 3)
    if len(parts) != _PARTS or parts[:2] != ["ofl", "page"]:
        raise ValueError("a page key is needed: offerlog keys create --role page --origin ...")
    if not 0 < seconds <= 86_400:  # noqa: PLR2004 - the service accepts a day
        raise ValueError("a visitor token is valid for at most a day")
    header = {"alg": "HS256", "kid": parts[2], "typ": "JWT"}
    claims = {
        "customerId": customer_id,
        "customerIdType": customer_id_type,
        "exp": int(time.time()) + seconds,
    }
    signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_encode(hmac.digest(page_key.encode(), signed.encode(), 'sha256'))}"


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
