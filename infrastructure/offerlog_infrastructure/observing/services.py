"""Running services, asked over HTTP whether they are ready."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from offerlog_application.ports.store_figures import SERVICE_NAME, StoreClient
from offerlog_application.status.observation import ObservedService, ObservedWorkers

_SECONDS: Final = 2.5
"""Time limit of one question. A service answers within milliseconds, unless it waits for its store."""

_MOST_ASKED: Final = 8
"""Services that are asked at most; the others are named without an answer."""

_LONGEST_ANSWER: Final = 4 << 20
_INCIDENTS: Final = re.compile(rb"^offerlog_writer_incidents (\S+)$", re.MULTILINE)
_PROCESS: Final = re.compile(r"(\d+)/(\d+)")
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses that a service told
_LOOPBACK: Final = ("127.", "::1", "localhost")


def name_service(address: str, metrics_port: int | None, process: tuple[int, int] | None = None) -> str:
    """Return the name that a service states to the store: how it is reached.

    Args:
        address: Its address, such as `http://127.0.0.1:8000`.
        metrics_port: The port of its metrics; None for that of the address.
        process: The number of this process and the number of workers, where the service has workers; the
            process of the background is 0.
    """
    which = "" if process is None else f" {process[0]}/{process[1]}"
    return f"{SERVICE_NAME}{which} {address}" + ("" if metrics_port is None else f" metrics {metrics_port}")


class _Service(NamedTuple):
    """A service as its connections name it.

    Attributes:
        address: Its address.
        metrics_port: The port of its metrics; None for that of the address.
        host: The address of its machine; None for this one.
        workers: Its processes; None for a service of one process.
    """

    address: str
    metrics_port: int | None
    host: str | None
    workers: ObservedWorkers | None


def ask_services(clients: Sequence[StoreClient]) -> Sequence[ObservedService]:
    """Ask services whether they are ready, all at once; a silent one costs some seconds.

    Args:
        clients: Their connections to the store.
    """
    services = _find_services(clients)
    if not services:
        return []
    with ThreadPoolExecutor(_MOST_ASKED) as threads:
        asked = list(threads.map(_ask, services[:_MOST_ASKED]))
    return [
        *asked,
        *(ObservedService(one.address, None, False, None, one.workers) for one in services[_MOST_ASKED:]),
    ]


def _ask(service: _Service) -> ObservedService:
    url = _reachable(service.address, service.host)
    if url is None:
        return ObservedService(service.address, None, False, None, service.workers)
    is_reached, trouble = _ask_readiness(url)
    incidents = _read_incidents(url, service.metrics_port) if is_reached else None
    return ObservedService(service.address, trouble, is_reached, incidents, service.workers)


def _find_services(clients: Sequence[StoreClient]) -> Sequence[_Service]:
    """Return the services behind connections: the processes of one service are one."""
    services: dict[tuple[str, int | None, str | None], list[tuple[int, int]]] = {}
    for client in clients:
        words = client.name.removeprefix(SERVICE_NAME).split()
        which = _PROCESS.fullmatch(words[0]) if words else None
        address, *rest = (words[1:] if which else words) or ["?"]
        port = int(rest[1]) if rest[:1] == ["metrics"] and rest[1:] and rest[1].isdecimal() else None
        processes = services.setdefault((address, port, client.host), [])
        if which:
            processes.append((int(which[1]), int(which[2])))
    return [
        _Service(address, port, host, _count_workers(processes) if processes else None)
        for (address, port, host), processes in services.items()
    ]


def _count_workers(processes: Sequence[tuple[int, int]]) -> ObservedWorkers:
    """Count the processes of one service, of which each names its number and the number of workers."""
    numbers, count = {number for number, _ in processes}, max(count for _, count in processes)
    return ObservedWorkers(count, [one for one in range(1, count + 1) if one not in numbers], 0 in numbers)


def _reachable(address: str, host: str | None) -> str | None:
    """Return the address under which a service is reached from here; None if it listens on its machine alone.

    Args:
        address: The address that it listens on.
        host: The address of its machine; None for this one.
    """
    try:
        parts = urlsplit(address)
        name, port = parts.hostname or "", parts.port or 80
    except ValueError:
        return None
    if parts.scheme != "http" or not name:
        return None
    if host is not None and name.startswith(_LOOPBACK):
        return None
    if name in _WILDCARDS:
        name = host or _WILDCARDS[name]
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}"


def _ask_readiness(url: str) -> tuple[bool, str | None]:
    """Return whether a service answers, and why it is not ready; None if it is."""
    try:
        _get(f"{url}/readyz")
    except urllib.error.HTTPError as refused:
        with refused:
            return True, _detail(refused)
    except (OSError, ValueError):
        return False, None
    return True, None


def _detail(refused: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(refused.read(_LONGEST_ANSWER))["detail"])
    except (OSError, ValueError, LookupError, TypeError):
        return f"it answers {refused.code}"


def _read_incidents(url: str, port: int | None) -> int | None:
    """Return the number of incidents in a service's metrics; None if they cannot be read."""
    parts = urlsplit(url)
    base = url if port is None else f"http://{parts.netloc.rpartition(':')[0]}:{port}"
    try:
        found = _INCIDENTS.search(_get(f"{base}/metrics"))
        return None if found is None else int(float(found[1]))
    except (OSError, ValueError):
        return None


def _get(url: str) -> bytes:
    # Without a proxy: it could not reach services of this network.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=_SECONDS) as answer:
        body: bytes = answer.read(_LONGEST_ANSWER)
    return body
