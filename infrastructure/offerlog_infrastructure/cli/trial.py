"""Asking a service that was just started whether it is ready, for `offerlog serve --check`."""

import threading
import time
import urllib.error
import urllib.request
from typing import Final

from offerlog_domain.errors import OfferlogError

_PATIENCE: Final = 30.0


class NotReadyError(OfferlogError):
    """A service did not become ready in time.

    Attributes:
        url: What was asked.
        answer: What it said last.
    """

    def __init__(self, url: str, answer: str) -> None:
        self.url = url
        self.answer = answer
        super().__init__(f"{url} did not say in time that it is ready; the last answer: {answer}")


class Trial:
    """Asks until the service is ready, for at most some seconds."""

    def __init__(self, url: str, patience: float = _PATIENCE) -> None:
        self._url = url
        self._patience = patience
        self._ready = False
        self._answer = "none"

    def run(self, stop: threading.Event) -> None:
        """Ask; then set `stop`, whatever the answer is."""
        # It is on this machine: a proxy named in the environment could not reach it, or would reach another.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + self._patience
        while not self._ready and time.monotonic() < deadline:
            try:
                with direct.open(self._url, timeout=5):
                    self._ready = True
            except urllib.error.HTTPError as refused:  # 503 until the projections are near
                with refused:
                    self._answer = f"{refused.code} {refused.read().decode(errors='replace')}"
                time.sleep(0.2)
            except OSError as error:
                self._answer = str(error)
                time.sleep(0.2)
        stop.set()

    def prove(self) -> None:
        """Return if it was ready.

        Raises:
            NotReady: It was not, up to the end.
        """
        if not self._ready:
            raise NotReadyError(self._url, self._answer)
