"""The ways into the system: HTTP with a service's or a widget's key, in process, the command line."""

import http.client
import json
import subprocess
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from random import Random
from typing import Any, Final

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import ClosedError, OutcomeUnknownError, StoreUnavailableError
from offerlog_application.recording.submissions import OverloadedError
from offerlog_application.recording.writer_errors import ContendedError
from offerlog_infrastructure.presentation.documents import describe_offer
from soak.clients import DeclinedError, UnknownError, WrongAnswerError
from soak.system import System
from soak.traffic import Request

HTTP_SECONDS: Final = 20.0
"""Seconds after which a client gives a request up as unknown."""
IN_PROCESS_SECONDS: Final = 150.0

_NOTHING_TAKEN: Final = {"/problems/overloaded", "/problems/unavailable", "/problems/rate-limited"}
_STORE_FAILED: Final = "/problems/store-"
"""How the types of all failures of the store begin, of which nothing was taken either."""
_UNKNOWN: Final = {"/problems/outcome-unknown"}


class HttpWay:
    """One connection at a time to one service.

    Args:
        name: Of the service.
        port: Its port.
        keys: A key for each organization.
        chance: Chooses the form of the body.
        is_widget: Whether the keys are widgets': one line a request at most 100, and no offers.
    """

    def __init__(
        self, name: str, port: int, keys: dict[str, str], chance: Random, *, is_widget: bool = False
    ) -> None:
        self.name = f"{name} widget" if is_widget else name
        self._port = port
        self._keys = keys
        self._chance = chance
        self._connection: http.client.HTTPConnection | None = None

    def send(self, request: Request) -> dict[str, Any]:
        """Send signals as an array or as NDJSON, or ask for an offer."""
        if request.offer is not None:
            status, document = self._post(
                request, "/v1/offers", "application/json", json.dumps(request.offer)
            )
            if status in {200, 201}:
                return {name: document[name] for name in ("decision", "reason", "action_id")}
        elif self._chance.random() < 0.3:
            text = "\n".join(request.signals)
            status, document = self._post(request, "/v1/signals", "application/x-ndjson", text)
        else:
            text = f"[{','.join(request.signals)}]"
            status, document = self._post(request, "/v1/signals", "application/json", text)
        if status == 200:
            outcomes = [[one["outcome"], one["reason"]] for one in document["outcomes"]]
            return {"outcomes": outcomes, "position": document["position"]}
        kind = document.get("type")
        if kind in _UNKNOWN or status == 500:
            raise UnknownError(f"{status} {kind}")
        if kind in _NOTHING_TAKEN or str(kind).startswith(_STORE_FAILED):
            raise DeclinedError(f"{status} {kind}: {document.get('detail')}")
        raise WrongAnswerError(f"{status}: {document}")

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _post(self, request: Request, path: str, kind: str, body: str) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": kind, "Authorization": f"Bearer {self._keys[request.organization]}"}
        connection = self._connection
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HTTP_SECONDS)
            try:
                connection.connect()
            except OSError as error:
                raise DeclinedError(f"cannot connect: {error}") from error
            self._connection = connection
        try:
            connection.request("POST", path, body.encode(), headers)
            answer = connection.getresponse()
            document = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise UnknownError(f"{type(error).__name__}: {error}") from error
        if answer.will_close:
            self.close()
        return answer.status, document


class InProcessWay:
    """The service as an object of this process."""

    def __init__(self, service: Offerlog) -> None:
        self.name = "writer"
        self._service = service

    def send(self, request: Request) -> dict[str, Any]:
        """Submit, and wait until it is durable."""
        try:
            if request.offer is not None:
                return self._offer(request)
            future = self._service.submit(request.signals, organization=request.organization)
            receipt = future.result(IN_PROCESS_SECONDS)
        except (OverloadedError, ContendedError, StoreUnavailableError, ClosedError) as error:
            raise DeclinedError(f"{type(error).__name__}: {error}") from error
        except (OutcomeUnknownError, FutureTimeoutError) as error:
            raise UnknownError(f"{type(error).__name__}: {error}") from error
        outcomes = [[one.kind.value, one.reason.value if one.reason else None] for one in receipt.outcomes]
        return {"outcomes": outcomes, "position": receipt.position}

    def close(self) -> None:
        """The service belongs to the process."""

    def _offer(self, request: Request) -> dict[str, Any]:
        asked = request.offer or {}
        future = self._service.submit_offer(
            customer_id=asked["customerId"],
            customer_id_type=asked["customerIdType"],
            action_map_id=asked["actionMapId"],
            session_id=asked["sessionId"],
            action_id=asked.get("actionId"),
            timeout_seconds=asked["timeoutSeconds"],
            media_type=asked["actionMediaType"],
            organization=request.organization,
        )
        document = describe_offer(future.result(IN_PROCESS_SECONDS))
        return {name: document[name] for name in ("decision", "reason", "action_id")}


class CommandWay:
    """`offerlog record`: what it has written to `--outcomes` is acknowledged, however it ends."""

    def __init__(self, system: System, folder: Path) -> None:
        self.name = "command"
        self._system = system
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def send(self, request: Request) -> dict[str, Any]:
        """Record a file of the signals, in small batches."""
        signals, outcomes = self._folder / "signals.ndjson", self._folder / "outcomes.ndjson"
        signals.write_text("\n".join(request.signals), encoding="utf-8")
        outcomes.unlink(missing_ok=True)
        words = ("--organization", request.organization, "record", str(signals))
        try:
            run = self._system.command(*words, "--outcomes", str(outcomes), "--batch-size", "50", seconds=400)
            cause = f"exit code {run.returncode}: {run.stderr.strip()[-300:]}"
        except subprocess.TimeoutExpired as error:
            raise UnknownError("the command took longer than 400 s") from error
        lines = outcomes.read_text(encoding="utf-8").splitlines(keepends=True) if outcomes.exists() else []
        document = [json.loads(line) for line in lines if line.endswith("\n")]
        known = [[one["outcome"], one["reason"]] for one in document]
        if len(document) < len(request.signals):
            raise UnknownError(f"{len(document)} of {len(request.signals)} outcomes; {cause}", known)
        return {"outcomes": known, "position": None}

    def close(self) -> None:
        """Nothing is held."""
