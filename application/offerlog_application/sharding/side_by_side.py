"""A question to all shards at once, for answers within a moment: a shard that hangs holds up no other's."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeVar

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.shards import ShardUnavailableError
from offerlog_application.sharding.router import Router, Shard

T = TypeVar("T")


def ask_side_by_side(
    router: Router, ask: Callable[[Shard], T], seconds: float
) -> Mapping[int, T | ShardUnavailableError]:
    """Return the answer of each shard by number, the home first, or the error of one that has none in time.

    Args:
        router: Finds the shards, by the map as it was read last.
        ask: Asks one shard, in a thread for that. It may go on for some seconds after the call has returned.
        seconds: How long to wait for all answers.
    """
    asked = [(number, _begin(router, number, ask)) for number in router.map.numbers]
    until = time.monotonic() + seconds
    found: dict[int, T | ShardUnavailableError] = {}
    for number, answer in asked:
        try:
            found[number] = answer.result(max(until - time.monotonic(), 0))
        except ShardUnavailableError as error:
            found[number] = error
        except TimeoutError:
            late = StoreUnavailableError(f"it has not answered within {seconds:g} seconds")
            found[number] = router.explain(number, late)
    return found


def _begin(router: Router, number: int, ask: Callable[[Shard], T]) -> Future[T]:
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(router.ask(router.get(number), ask))
        except BaseException as error:  # noqa: BLE001 - belongs to whoever waits for the answer
            answer.set_exception(error)

    threading.Thread(target=run, name=f"offerlog-ask-{number}", daemon=True).start()
    return answer
