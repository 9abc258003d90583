"""The server behind a connection, which the first use asks."""

import threading
from collections.abc import Callable

import pytest

from offerlog_infrastructure.postgres.connections import StoreConnection, connection_arguments


def test_a_server_that_hangs_holds_up_no_connection_to_another(
    make_dsn: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is asked when it was started."""
    arguments = connection_arguments(make_dsn(), "offerlog")
    with StoreConnection.connect(**arguments) as hung, StoreConnection.connect(**arguments) as other:
        # given
        asked, goes_on, ask = threading.Event(), threading.Event(), hung.execute

        def hang(statement: str) -> object:
            asked.set()
            goes_on.wait(60)
            return ask(statement.encode())

        monkeypatch.setattr(hung, "execute", hang)
        asking = threading.Thread(target=lambda: hung.server)
        asking.start()
        assert asked.wait(60)
        # when
        found: list[str] = []
        answered = threading.Thread(target=lambda: found.append(other.server))
        answered.start()
        answered.join(20)
        # then
        try:
            assert found
        finally:
            goes_on.set()
            asking.join(60)
        assert hung.server == other.server == found[0]
