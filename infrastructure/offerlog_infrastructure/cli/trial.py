"""The readiness check of a new service, for `offerlog serve --check`."""

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
        url: The address that was asked.
        answer: The last answer.
    """

    def __init__(self, url: str, answer: str) -> None:
        self.url = url
        self.answer = answer
        super().__init__(f"{url} did not say in time that it is ready; the last answer: {answer}")


class Trial:
    """A check that asks until the service is ready, for a limited time."""

    def __init__(self, url: str, patience: float = _PATIENCE) -> None:
        self._url = url
        self._patience = patience
        self._ready = False
        self._answer = "none"

    def run(self, stop: threading.Event) -> None:
        """Ask until ready or out of time; then set `stop`."""
        # Without a proxy: the service is on this machine, and a proxy could not reach it.
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
        """Return if the service was ready.

        Raises:
            NotReadyError: It was not ready in time.
        """
        if not self._ready:
            raise NotReadyError(self._url, self._answer)
