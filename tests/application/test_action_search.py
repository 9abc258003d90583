"""The thread that looks for the actions of short signals."""

from collections.abc import Collection, Sequence
from queue import SimpleQueue
from typing import Any, cast

from offerlog_application.sharding.action_search import ActionSearch, FoundActions, SearchThread


class _FindsNothing:
    def find(self, actions: Collection[object]) -> FoundActions:
        del actions
        return FoundActions({}, None)


def _refuse(_: Sequence[Any]) -> None:
    raise ValueError("this work cannot go on")


def test_work_that_cannot_go_on_gets_its_error_and_the_rest_goes_on() -> None:
    """Otherwise the thread would be gone, and later signals would wait for it in vain."""
    # given
    searching = SearchThread(cast("ActionSearch", _FindsNothing()))
    failed: SimpleQueue[BaseException] = SimpleQueue()
    gone_on: SimpleQueue[Sequence[Any]] = SimpleQueue()
    # when
    searching.add([], _refuse, failed.put)
    error = failed.get(timeout=20)
    searching.add([], gone_on.put, failed.put)
    # then
    assert isinstance(error, ValueError)
    assert gone_on.get(timeout=20) == []
    searching.close()
    assert failed.empty()
