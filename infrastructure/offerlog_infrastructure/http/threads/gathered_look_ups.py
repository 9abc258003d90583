"""Look-ups of one moment, asked with one statement.

A look-up by itself costs a thread's turn, a round trip to the store and the statement. While a statement of
an organization is under way, its further look-ups wait and go together in the next statement. So the busier
the service, the more look-ups share a statement, and a look-up that comes alone does not wait.

A statement that takes long holds only the look-ups that it asks for: the next one starts beside it, on
another thread and another connection.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from starlette.requests import ClientDisconnect

from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

T = TypeVar("T")

MAX_VISITORS: Final = 100
"""Most visitors of one statement."""

_PATIENCE_SECONDS: Final = 0.02
"""Seconds after which a statement under way does not hold back the next one of its organization."""

_CHECK_SECONDS: Final = 1.0
"""Seconds between two checks that the clients of waiting look-ups are still connected."""


LineName = tuple[str, frozenset[int]]
"""An organization, and the servers that its look-ups go to."""


@dataclass(slots=True, eq=False)
class _LookUp(Generic[T]):
    """A look-up that waits for its answer."""

    visitor: VisitorKey
    is_gone: Callable[[], Awaitable[bool]]
    answer: "asyncio.Future[T]"
    since: float


@dataclass(slots=True, eq=False)
class _Line(Generic[T]):
    """The look-ups of one organization on one server that wait, and its statements under way.

    Attributes:
        name: The organization and the server.
        threads: The threads for its statements.
        waiting: The look-ups that no statement asks for yet.
        statements: Number of statements under way, the one that waits for a thread included.
        has_next: True if a statement waits for a thread; it will take look-ups that come until then.
        latest: The moment at which the newest statement began, by the monotonic clock.
        timer: Starts the next statement beside one that takes long.
    """

    name: "LineName"
    threads: FairThreads
    waiting: deque[_LookUp[T]] = field(default_factory=deque)
    statements: int = 0
    has_next: bool = False
    latest: float = 0.0
    timer: asyncio.TimerHandle | None = None


class GatheredLookUps(Generic[T]):
    """Gathers the look-ups of each organization, on threads that the organizations share fairly.

    Args:
        threads: The threads for the statements. Their limits on waiting calls hold for waiting look-ups too.
        read: Reads the answers for different visitors of an organization, in a thread; each has an entry.
        find_server: Returns the server that has a visitor of an organization. Each has threads of its own:
            one that is down holds up its own visitors alone.
    """

    def __init__(
        self,
        threads: FairThreads,
        read: Callable[[str, Sequence[VisitorKey]], Mapping[VisitorKey, T]],
        find_server: Callable[[str, VisitorKey], frozenset[int]] = lambda _, __: frozenset(),
    ) -> None:
        self._threads = threads
        self._find_server = find_server
        self._read = read
        self._lines: dict[LineName, _Line[T]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_watched = False

    @property
    def waiting(self) -> int:
        """Number of look-ups that no statement asks for yet."""
        return self._waiting

    async def find(self, organization: str, visitor: VisitorKey, is_gone: Callable[[], Awaitable[bool]]) -> T:
        """Return the answer for a visitor, read after this call began.

        Args:
            organization: The organization.
            visitor: The visitor.
            is_gone: Asked every second while the look-up waits; one whose client has disconnected is dropped.

        Raises:
            ProblemError: 429, too many look-ups of this organization wait; 503, too many wait in all.
            ClientDisconnect: The client disconnected while the look-up waited.
            Exception: Whatever `read` raises.
        """
        name = organization, self._find_server(organization, visitor)
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line(name, self._threads.of_servers(name[1]))
        line.threads.check_room(len(line.waiting), self._waiting + line.threads.waiting)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        look_up = _LookUp(visitor, is_gone, answer, time.monotonic())
        line.waiting.append(look_up)
        self._waiting += 1
        self._start(line)
        if not self._is_watched:
            self._is_watched = True
            self._keep(self._drop_disconnected())
        try:
            return await answer
        except asyncio.CancelledError:
            self._drop(line, look_up)
            raise

    def _start(self, line: _Line[T]) -> None:
        """Start the next statement of an organization, unless a young one is under way."""
        if not line.waiting and not line.statements:
            self._lines.pop(line.name, None)
        if not line.waiting or line.has_next or line.statements >= line.threads.each:
            return
        left = line.latest + _PATIENCE_SECONDS - time.monotonic() if line.statements else 0.0
        if left <= 0:
            line.statements += 1
            line.has_next = True
            self._keep(self._ask(line))
        elif line.timer is None:
            line.timer = asyncio.get_running_loop().call_later(left, self._start_late, line)

    def _start_late(self, line: _Line[T]) -> None:
        line.timer = None
        self._start(line)

    async def _ask(self, line: _Line[T]) -> None:
        """Ask for the look-ups that wait once a thread is free, and give each its answer."""
        organization, look_ups = line.name[0], list[_LookUp[T]]()
        is_chosen = False

        def choose() -> Callable[[], Mapping[VisitorKey, T]]:
            nonlocal look_ups, is_chosen
            look_ups, is_chosen = self._take(line), True
            line.latest = time.monotonic()
            line.has_next = False
            self._start(line)  # for those that do not fit into this statement
            visitors = list({one.visitor: None for one in look_ups})
            return lambda: self._read(organization, visitors)

        try:
            found = await line.threads.run_chosen(organization, choose)
        except Exception as error:  # noqa: BLE001 - belongs to the callers
            if not is_chosen:  # there is no thread for them
                look_ups, line.has_next = self._take(line), False
            for one in look_ups:
                if not one.answer.done():
                    one.answer.set_exception(error)
        else:
            for one in look_ups:
                if not one.answer.done():
                    one.answer.set_result(found[one.visitor])
        finally:
            line.statements -= 1
            self._start(line)

    def _take(self, line: _Line[T]) -> list[_LookUp[T]]:
        taken = [line.waiting.popleft() for _ in range(min(len(line.waiting), MAX_VISITORS))]
        self._waiting -= len(taken)
        return taken

    def _drop(self, line: _Line[T], look_up: _LookUp[T]) -> None:
        """Take a look-up out of its line, if no statement asks for it yet."""
        if look_up in line.waiting:
            line.waiting.remove(look_up)
            self._waiting -= 1

    async def _drop_disconnected(self) -> None:
        """Drop look-ups whose clients have disconnected; end once no look-up waits."""
        try:
            while True:
                await asyncio.sleep(_CHECK_SECONDS)
                if not self._waiting:
                    return
                before = time.monotonic() - _CHECK_SECONDS
                for line in list(self._lines.values()):
                    for one in [one for one in line.waiting if one.since < before]:
                        if await one.is_gone() and not one.answer.done():
                            self._drop(line, one)
                            one.answer.set_exception(ClientDisconnect())
        finally:
            self._is_watched = False

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work as a task, and hold the task until it has ended."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
