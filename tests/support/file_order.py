"""A pytest plugin: the files that take longest begin first.

Workers take whole files (`--dist loadfile`). A long file that begins last would keep one worker busy while
the others have nothing left to do.
"""

from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]

LONGEST: Final = (
    "soak/test_short_soak.py",
    "http/openapi/test_contract.py",
    "infrastructure/sharding/test_moving.py",
    "acceptance/test_cli_shards.py",
    "infrastructure/postgres/projections/test_rebuild.py",
    "infrastructure/sharding/test_moves_interrupted.py",
    "acceptance/test_cli_archive.py",
    "soak/shards/test_short_run.py",
    "infrastructure/sharding/test_moves_healed.py",
    "acceptance/test_cli_operate.py",
    "infrastructure/sharding/test_earlier_positions.py",
    "models/test_models.py",
    "infrastructure/sharding/test_backups.py",
    "acceptance/test_cli_backups.py",
    "infrastructure/sharding/test_foreign_events.py",
    "infrastructure/postgres/log/test_hung_writer.py",
    "infrastructure/sharding/test_feed.py",
    "acceptance/test_cli_replay.py",
    "infrastructure/sharding/test_archives.py",
    "infrastructure/testing/test_plugin.py",
    "infrastructure/sharding/test_analyses.py",
    "infrastructure/postgres/archive/test_twins.py",
    "infrastructure/sharding/test_live_reports.py",
    "acceptance/test_model.py",
    "infrastructure/sharding/test_moves_under_load.py",
    "infrastructure/postgres/archive/test_killed.py",
    "infrastructure/sharding/test_deleting_organizations.py",
    "acceptance/test_erased.py",
    "infrastructure/postgres/test_dead_connections.py",
    "http/routes/test_attacks_reads.py",
    "web/test_browser_module_failures.py",
    "web/test_dashboard_updates.py",
    "http/server/test_attacks_connections.py",
    "acceptance/test_cli_audit.py",
    "web/test_dashboard.py",
    "http/middleware/test_traces.py",
    "web/test_browser_module.py",
    "web/test_browser_module_answers.py",
    "infrastructure/postgres/log/test_hung_sessions.py",
    "infrastructure/embedded/test_kills.py",
    "acceptance/test_cli_ask.py",
    "acceptance/test_cli_record.py",
    "architecture/test_docs.py",
    "infrastructure/embedded/test_role.py",
    "infrastructure/postgres/test_table_locks.py",
    "web/test_browser_module_seen.py",
    "http/requests/test_attacks_bodies.py",
    "acceptance/test_cli_mistakes.py",
    "infrastructure/postgres/test_crash.py",
    "http/server/test_surroundings.py",
    "acceptance/test_cli_checks.py",
    "infrastructure/postgres/projections/test_projector.py",
    "acceptance/test_cli_bundles.py",
    "http/streams/test_streams.py",
    "acceptance/test_cli_report.py",
    "acceptance/test_cli_keyring.py",
    "architecture/test_benches.py",
    "http/requests/test_uploads.py",
    "infrastructure/postgres/test_stopped_processes.py",
    "infrastructure/postgres/log/test_concurrency.py",
    "http/routes/test_long_lists.py",
    "infrastructure/postgres/test_texts.py",
    "infrastructure/postgres/tree/test_sealer.py",
)
"""Longest first, by their time in one run of all tests; the order need not be exact."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those files first; the others keep their order."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
