"""Keys: the web origins that they may be held to."""

import pytest

from offerlog_application.ports.keys import NotAnOriginError, check_web_origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "http://localhost:8080",
        "http://[::1]:3000",
        "https://xn--bcher-kva.example",
        "capacitor://localhost",
    ],
)
def test_what_a_browser_sends_is_an_origin(origin: str) -> None:
    """It is taken as it is."""
    assert check_web_origin(origin) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "null", "shop.example", "https://", "not an origin", "https://*.shop.example"),
        *(
            "https://shop.example/",
            "https://shop.example/chat",
            "https://shop.example?a",
            "https://u@shop.example",
        ),
        *(
            "HTTPS://shop.example",
            "https://Shop.Example",
            "https://shop.example:443",
            "http://shop.example:80",
        ),
        *(
            "https://shop.example:port",
            "https://[::1",
            "https://b\u00fccher.example",
            "https://a.example,b.example",
        ),
    ],
)
def test_what_no_browser_sends_is_none(text: str) -> None:
    """A key for it could be used from nowhere, and nobody would know why."""
    with pytest.raises(NotAnOriginError):
        check_web_origin(text)
