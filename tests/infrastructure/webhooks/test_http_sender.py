"""Webhooks over HTTP: where the connection goes, what is believed of the receiver, and limits of time."""

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from offerlog import ArgumentError
from offerlog_application.ports.event_log import ClosedError
from offerlog_infrastructure.webhooks.http_sender import HttpSender
from offerlog_infrastructure.webhooks.networks import read_networks
from support.receiver import Answer, receiving

LOCAL = read_networks("127.0.0.1")
MESSAGE: tuple[str, str, list[bytes]] = ("msg_1", '{"type":"ä"}', [b"s" * 32])


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate by a new authority, for one name, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(whose)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = folder / "receiver.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


def answer_names(monkeypatch: pytest.MonkeyPatch, *addresses: list[str]) -> list[str]:
    """Make each look-up of a name give the next of these lists of addresses; returns the names looked up."""
    asked: list[str] = []
    left = list(addresses)

    def look_up(host: str, port: int, **_: object) -> list[Any]:
        if host[0].isdigit():  # httpx looks the address up that it is given
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_, **more: look_up(host, port, **more))
    return asked


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up once for an attempt, and all of its addresses must be allowed."""
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "receiver.example")
        asked = answer_names(monkeypatch, ["127.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["169.254.169.254"])
        sender = HttpSender(LOCAL)
        # when
        results = [sender.send(url, *MESSAGE) for _ in range(3)]
        sender.close()
    # then
    assert asked == ["receiver.example"] * 3
    assert [one.is_delivered for one in results] == [True, False, False]
    assert "10.0.0.1 is not a public address" in results[1].error
    assert [one.headers["host"] for one in receiver.got] == [url.split("/")[2]]


def test_the_certificate_must_be_for_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Although the connection is made to an address."""
    file = make_certificate(tmp_path, "receiver.example")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    trusting = ssl.create_default_context(cafile=str(file))
    answer_names(monkeypatch, ["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"])
    with receiving(server) as receiver:
        urls = [receiver.url.replace("127.0.0.1", name) for name in ("receiver.example", "other.example")]
        senders = [HttpSender(LOCAL, tls=trusting), HttpSender(LOCAL, tls=trusting), HttpSender(LOCAL)]
        # when
        results = [one.send(url, *MESSAGE) for one, url in zip(senders, [*urls, urls[0]], strict=True)]
        for one in senders:
            one.close()
    # then
    assert [one.status for one in results] == [204, None, None]
    assert "certificate" in results[1].error
    assert "certificate" in results[2].error
    assert len(receiver.got) == 1


def test_a_slow_or_endless_answer_takes_no_longer_than_an_attempt_may() -> None:
    """Not even one that comes byte by byte. Of a long one, the beginning is read."""
    with receiving() as receiver:
        receiver.answers = [
            Answer(200, body=b"x" * 100, drip_seconds=0.05),
            Answer(500, body=b"\x1b[31mno\n" + b"y" * 1_000_000),
            Answer(302),
        ]
        sender = HttpSender(LOCAL, attempt_seconds=0.4)
        # when
        slow, long, moved = (sender.send(receiver.url, *MESSAGE) for _ in range(3))
        receiver.held.clear()
        held = sender.send(receiver.url, *MESSAGE)
        sender.close()
        closed = HttpSender(LOCAL, attempt_seconds=60)
        threading.Timer(0.1, closed.close).start()
        began = time.monotonic()
        with pytest.raises(ClosedError):
            closed.send(receiver.url, *MESSAGE)
        closed_seconds = time.monotonic() - began
    # then
    assert (slow.error, slow.status, held.error) == ("the time is over", None, "the time is over")
    assert max(slow.seconds, held.seconds) < 10
    assert closed_seconds < 10
    assert long.error.startswith("the receiver answered 500: ?[31mno yyy")
    assert len(long.error) < 250
    assert moved.error == "the receiver answered 302, and redirects are not followed"


def test_a_look_up_that_hangs_takes_no_longer_than_an_attempt_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one at a time, and the attempt that it ends in goes on."""
    # given
    answering, asked = threading.Event(), []

    def hang(host: str, port: int, **_: object) -> list[Any]:
        if not host[0].isdigit():
            asked.append(host)
            answering.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_, **more: hang(host, port, **more))
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "receiver.example")
        sender, patient = HttpSender(LOCAL, attempt_seconds=0.2), HttpSender(LOCAL)
        # when
        late = [sender.send(url, *MESSAGE) for _ in range(2)]
        threading.Timer(0.05, answering.set).start()
        arrived = patient.send(url, *MESSAGE)
        patient.close()
        sender._seconds = 20
        again = sender.send(url, *MESSAGE)
        answering.clear()
        threading.Timer(0.1, sender.close).start()
        with pytest.raises(ClosedError):
            sender.send(url, *MESSAGE)
        answering.set()
    # then
    assert {one.error for one in late} == {"the host 'receiver.example' could not be looked up in time"}
    assert max(one.seconds for one in late) < 5
    assert arrived.is_delivered
    assert again.is_delivered
    assert asked == ["receiver.example"] * 3


def test_no_cookie_of_a_receiver_is_kept() -> None:
    """It could send new ones with each answer."""
    with receiving() as receiver:
        receiver.answers = [Answer(204, {"set-cookie": "a=1"})]
        sender = HttpSender(LOCAL)
        # when
        for _ in range(2):
            sender.send(receiver.url, *MESSAGE)
        sender.close()
    # then
    assert ["cookie" in one.headers for one in receiver.got] == [False, False]


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("120", 120, 120),
        ("in an hour", 3_000, 3_600),
        ("soon", None, None),
        ("-5", None, None),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None, None),
    ],
)
def test_retry_after_may_be_seconds_or_a_date(value: str, least: float | None, most: float | None) -> None:
    """RFC 9110, section 10.2.3; anything else does not count."""
    if value == "in an hour":
        value = (datetime.now(UTC) + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with receiving() as receiver:
        receiver.answers = [Answer(503, {"retry-after": value})]
        sender = HttpSender(LOCAL)
        found = sender.send(receiver.url, *MESSAGE).retry_after
        sender.close()
    assert found is least if least is None or most is None or found is None else least <= found <= most


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://user:word@shop.example/",
        "https://shop.example/#part",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "shop.example",
        "https:///hook",
        "https://xn--/",
        "https://shop.example/" + "x" * 2_000,
        "",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_once(url: str) -> None:
    """Before anything is stored."""
    with pytest.raises(ArgumentError, match="url: "):
        HttpSender().check_url(url)
    assert (
        HttpSender().check_url("https://shop.example:8443/hook?a=1") == "https://shop.example:8443/hook?a=1"
    )
    assert HttpSender(LOCAL).check_url("http://127.0.0.1/") == "http://127.0.0.1/"
