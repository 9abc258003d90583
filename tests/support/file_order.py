"""A pytest plugin: the files that take longest begin first.

Workers take whole files (`--dist loadfile`). A long file that begins last would keep one worker busy while
the others have nothing left to do.
"""

from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]

LONGEST: Final = (
    "web/test_browser_module_failures.py",
    "infrastructure/postgres/projections/test_rebuild.py",
    "http/openapi/test_contract.py",
    "acceptance/test_cli_operate.py",
    "web/test_browser_module_answers.py",
    "web/test_dashboard_updates.py",
    "http/routes/test_attacks_reads.py",
    "web/test_browser_module.py",
    "web/test_dashboard.py",
    "http/requests/test_attacks_bodies.py",
    "http/server/test_attacks_connections.py",
    "infrastructure/postgres/test_dead_connections.py",
    "web/test_browser_module_seen.py",
    "infrastructure/postgres/projections/test_projector.py",
    "acceptance/test_model.py",
    "acceptance/test_cli_terminal.py",
    "acceptance/test_cli_mistakes.py",
    "http/test_attacks_floods.py",
    "infrastructure/postgres/test_libpq_environment.py",
    "infrastructure/embedded/test_role.py",
    "infrastructure/embedded/test_kills.py",
    "acceptance/test_cli_ask.py",
    "acceptance/test_cli_record.py",
    "http/requests/test_access.py",
    "http/middleware/test_traces.py",
    "http/server/test_surroundings.py",
    "infrastructure/postgres/log/test_hung_sessions.py",
    "infrastructure/testing/test_plugin.py",
    "soak/test_short_soak.py",
    "architecture/test_docs.py",
    "http/streams/test_streams.py",
    "infrastructure/postgres/test_table_locks.py",
    "infrastructure/embedded/test_folders.py",
    "infrastructure/postgres/projections/test_projector_kill.py",
)
"""Longest first, by their time in one run of all tests; the order need not be exact."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those files first; the others keep their order."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
