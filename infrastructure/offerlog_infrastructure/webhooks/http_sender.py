"""Sending of one webhook after the other over HTTP, by the Standard Webhooks specification."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, Final

import httpx
from standardwebhooks import Webhook

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.webhooks import WebhookResult
from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.webhooks.look_ups import LookUp
from offerlog_infrastructure.webhooks.networks import (
    Address,
    AddressRefusedError,
    Network,
    check_address,
    resolve,
)

ATTEMPT_SECONDS: Final = 20.0
"""Seconds that an attempt may take, from the look-up of the name to the end of the answer."""

_CONNECT_SECONDS: Final = 5.0
_SHORTEST_SECONDS: Final = 0.001

_KEEP_ALIVE_SECONDS: Final = 2.0
"""Seconds after which a connection is not used again: receivers close theirs, usually after five."""

_READ_BYTES: Final = 4_096
"""Bytes of an answer's body that are read: an error may say there what is wrong."""

_SHOWN_CHARACTERS: Final = 200
_LONGEST_URL: Final = 2_000
_MOST_ADDRESSES: Final = 3
"""Addresses of a host that one attempt tries, as a machine may not reach those of IPv6."""

_LAST_PORT: Final = 65_535
_HTTP_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


@cache
def _tls() -> ssl.SSLContext:
    """Return the context of all connections. `SSL_CERT_FILE` names other authorities than the usual ones."""
    return httpx.create_ssl_context()


class HttpSender:
    """The application's `WebhookSender`: one connection at a time, to an address that was checked.

    A name is looked up for each attempt, and the connection goes to an address that was found and checked
    then, not to one that a second look-up gives. Proxies of the environment are not used. Redirects are not
    followed, and cookies are not kept: a receiver could send any number of them.

    A method has the errors of the method of `WebhookSender`, and those that it names.

    Args:
        allowed: Networks that need not be public, and where http is enough.
        attempt_seconds: The time limit of an attempt.
        tls: Checks the certificates of receivers; by the usual authorities unless given.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        attempt_seconds: float = ATTEMPT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._seconds = attempt_seconds
        self._tls = tls
        self._client: httpx.Client | None = None
        self._cutter = _Cutter()
        self._look_up: tuple[tuple[str, int], LookUp] | None = None
        """The look-up of a host and port that is under way, perhaps since an attempt before."""

    def check_url(self, url: str) -> str:
        """Return an address if webhooks can be sent there, as far as it shows without being looked up."""
        try:
            parsed = _parse_url(url)
            with suppress(ValueError):  # a name is looked up at each attempt
                check_address(ip_address(parsed.host), self._allowed, is_secure=parsed.scheme == "https")
        except AddressRefusedError as error:
            raise ArgumentError("url", f"url: {error}") from None
        if parsed.scheme == "http" and not self._allowed:
            raise ArgumentError("url", "url: give an address with https")
        return url

    def send(self, url: str, message_id: str, body: str, secrets: Sequence[bytes]) -> WebhookResult:
        """Send a message that is signed with each of the secrets."""
        began = time.monotonic()
        with self._cutter.limit(self._seconds):
            try:
                status, error, retry_after = self._post(url, _headers(message_id, body, secrets), body)
            except AddressRefusedError as refused:
                status, error, retry_after = None, str(refused), None
            except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError) as trouble:
                # A client that another thread closes meanwhile raises a RuntimeError.
                status, retry_after = None, None
                is_cut = self._cutter.is_over and not isinstance(trouble, TimeoutError)
                # The limit of a single read is as long, and may end a moment before the cutter's.
                is_late = isinstance(trouble, httpx.ReadTimeout | httpx.WriteTimeout)
                error = "the time is over" if is_cut or is_late else _describe(trouble)
        if self._cutter.is_closed:
            self.close()  # a client that was made meanwhile
            raise ClosedError
        return WebhookResult(status, error, retry_after, time.monotonic() - began)

    def close(self) -> None:
        """End the attempt under way, and close the connection; another thread may call it."""
        self._cutter.close()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _post(self, url: str, headers: Mapping[str, str], body: str) -> tuple[int, str, float | None]:
        parsed = _parse_url(url)
        is_secure = parsed.scheme == "https"
        host = parsed.raw_host.decode().strip("[]")
        port = parsed.port or _HTTP_PORTS[parsed.scheme]
        addresses = self._find_addresses(host, port, is_secure=is_secure)[:_MOST_ADDRESSES]
        for number, address in enumerate(addresses, 1):
            try:
                return self._post_to(address, parsed, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses) or self._cutter.is_over or self._cutter.is_closed:
                    raise
        raise AddressRefusedError(f"the host {host!r} has no address")

    def _find_addresses(self, host: str, port: int, *, is_secure: bool) -> Sequence[Address]:
        """Look a host up, for as long as the attempt may take.

        A look-up that takes longer goes on in its thread. The next attempt waits for the same one, so there
        is one at a time, however long the name server does not answer.

        Raises:
            AddressRefusedError: The name has no address, or one to which nothing may be sent.
            OSError: The time is over, or the sender was closed.
        """
        if self._look_up is None or self._look_up[0] != (host, port):
            find = partial(resolve, host, port, self._allowed, is_secure=is_secure)
            self._look_up = (host, port), LookUp(find, self._cutter.woken.set)
        look_up = self._look_up[1]
        if not self._cutter.wait(lambda: look_up.is_done):
            raise TimeoutError(f"the host {host!r} could not be looked up in time")
        self._look_up = None
        return look_up.addresses()

    def _post_to(
        self, address: Address, url: httpx.URL, headers: Mapping[str, str], body: str
    ) -> tuple[int, str, float | None]:
        name = url.raw_host.decode().strip("[]")
        request = self._open_client().build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=body.encode(),
            headers={**headers, "host": url.netloc.decode()},
            timeout=httpx.Timeout(self._seconds, connect=min(_CONNECT_SECONDS, self._cutter.seconds_left())),
            extensions={"sni_hostname": name, "trace": self._cutter.follow},
        )
        response = self._open_client().send(request, stream=True)
        try:
            text = _read_some(response)
        finally:
            response.close()
        status = response.status_code
        if 200 <= status < 300:  # noqa: PLR2004 - success, by RFC 9110, section 15
            return status, "", None
        redirected = ", and redirects are not followed" * (300 <= status < 400)  # noqa: PLR2004 - RFC 9110, 15.4
        error = f"the receiver answered {status}{redirected}" + (f": {text}" if text else "")
        return status, error, _read_retry_after(response.headers.get("retry-after"))

    def _open_client(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(
                verify=self._tls or _tls(),
                trust_env=False,
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_ALIVE_SECONDS
                ),
            )
        return self._client


class _Cutter:
    """Ends an attempt when its time is over, or when the sender is closed: a wait, or its connection.

    Time-outs of single reads do not end an answer that comes byte by byte.

    Attributes:
        woken: Set when what `wait` waits for may have happened.
        is_over: True once the time of the present attempt is over.
        is_closed: True once the sender has been closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: Any = None
        self._until = 0.0
        self.woken = threading.Event()
        self.is_over = False
        self.is_closed = False

    def follow(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the newest connection; httpx calls it at each step of a request."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            with self._lock:
                self._stream = info["return_value"]
            if self.is_over or self.is_closed:
                self._cut()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Limit an attempt to so many seconds.

        Raises:
            ClosedError: `close` was called before.
        """
        if self.is_closed:
            raise ClosedError
        self.is_over = False
        self._until = time.monotonic() + seconds
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def seconds_left(self) -> float:
        """Return how long the attempt may still take; not zero, which libraries take for no limit."""
        return max(self._until - time.monotonic(), _SHORTEST_SECONDS)

    def wait(self, holds: Callable[[], bool]) -> bool:
        """Wait until something holds; returns False if the attempt ends before."""
        while not holds():
            if self.is_over or self.is_closed:
                return False
            self.woken.wait()
            self.woken.clear()
        return True

    def close(self) -> None:
        """Cut the connection for good."""
        self.is_closed = True
        self._cut()

    def _end(self) -> None:
        self.is_over = True
        self._cut()

    def _cut(self) -> None:
        self.woken.set()
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):  # it is closed already
                stream.get_extra_info("socket").shutdown(2)


def _parse_url(text: str) -> httpx.URL:
    """Read an address.

    Raises:
        AddressRefusedError: It is not one to which webhooks can be sent.
    """
    if len(text) > _LONGEST_URL:
        raise AddressRefusedError(f"at most {_LONGEST_URL:,} characters are possible")
    try:
        url = httpx.URL(text)
        has_host = bool(url.host)
    except (httpx.InvalidURL, UnicodeError) as error:  # a name that is not one of IDNA is a UnicodeError
        raise AddressRefusedError(f"{text!r} is not an address: {error}") from None
    if url.scheme not in _HTTP_PORTS or not has_host:
        raise AddressRefusedError(f"{text!r} is not an address with https and a host")
    if url.port is not None and not 0 < url.port <= _LAST_PORT:  # the system takes such a number modulo 65536
        raise AddressRefusedError(f"{url.port} is not a port")
    if url.userinfo:
        raise AddressRefusedError("an address must not have a user or password")
    if url.fragment:
        raise AddressRefusedError("an address must not have a part behind #")
    return url


def _headers(message_id: str, body: str, secrets: Sequence[bytes]) -> dict[str, str]:
    now = datetime.now(UTC).replace(microsecond=0)
    return {
        "content-type": "application/cloudevents+json",
        "accept-encoding": "identity",
        "user-agent": "offerlog",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(one).sign(message_id, now, body) for one in secrets),
    }


def _read_some(response: httpx.Response) -> str:
    """Read the beginning of a body, as text for people."""
    found = b""
    for piece in response.iter_raw(_READ_BYTES):
        found += piece
        if len(found) >= _READ_BYTES:
            break
    words = " ".join(found[:_READ_BYTES].decode("utf-8", "replace").split())
    return "".join(one if one.isprintable() else "?" for one in words)[:_SHOWN_CHARACTERS]


def _read_retry_after(text: str | None) -> float | None:
    """Return the seconds of a header Retry-After (RFC 9110, section 10.2.3); None if there are none."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a receiver may write numbers of any length
        return None
    return max((when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _describe(error: Exception) -> str:
    kinds = {httpx.ConnectTimeout: "the receiver cannot be reached in time"}
    return kinds.get(type(error)) or str(error) or type(error).__name__  # type: ignore[arg-type] # a subclass
