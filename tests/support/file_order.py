"""A pytest plugin: the files that take longest begin first.

Workers take whole files (`--dist loadfile`). A long file that begins last would keep one worker busy while
the others have nothing left to do.
"""

from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]

LONGEST: Final = (
    "infrastructure/sharding/test_moves_interrupted.py",
    "infrastructure/sharding/test_moves_healed.py",
    "web/test_dashboard.py",
    "soak/shards/test_short_run.py",
    "web/test_dashboard_updates.py",
    "infrastructure/sharding/test_audits.py",
    "infrastructure/sharding/test_archives.py",
    "acceptance/test_cli_replay.py",
    "infrastructure/postgres/projections/test_rebuild.py",
    "infrastructure/sharding/test_analyses.py",
    "models/test_models.py",
    "http/openapi/test_contract.py",
    "http/routes/test_attacks_reads.py",
    "infrastructure/sharding/test_webhooks.py",
    "web/test_action_maps_page.py",
    "infrastructure/sharding/test_short_signals.py",
    "acceptance/test_cli_operate.py",
    "infrastructure/sharding/test_feed.py",
    "architecture/test_front_door.py",
    "acceptance/test_cli_backups.py",
    "infrastructure/testing/test_plugin.py",
    "infrastructure/postgres/conversion/test_interrupted.py",
    "acceptance/test_cli_record.py",
    "infrastructure/postgres/test_texts.py",
    "acceptance/test_cli_shards.py",
    "acceptance/test_cli_archive.py",
    "acceptance/test_cli_audit.py",
    "infrastructure/sharding/test_shard_down.py",
    "infrastructure/embedded/test_role.py",
    "infrastructure/sharding/test_moving.py",
    "acceptance/test_cli_ask.py",
    "web/test_browser_module_seen.py",
    "infrastructure/postgres/refusals/test_sealed_texts.py",
    "web/test_browser_module_failures.py",
    "acceptance/test_cli_mistakes.py",
    "infrastructure/postgres/projections/test_proofs.py",
    "acceptance/test_cli_bundles.py",
    "infrastructure/sharding/test_earlier_positions.py",
    "acceptance/test_cli_checks.py",
    "infrastructure/embedded/test_kills.py",
    "http/middleware/test_traces.py",
    "infrastructure/sharding/test_backups.py",
    "web/test_browser_module.py",
    "examples/test_shop.py",
    "infrastructure/sharding/test_foreign_events.py",
    "infrastructure/postgres/log/test_hung_writer.py",
    "web/test_browser_module_answers.py",
    "infrastructure/sharding/test_deleting_organizations.py",
    "infrastructure/sharding/test_recording.py",
    "acceptance/test_serve_workers.py",
    "infrastructure/postgres/archive/test_twins.py",
    "infrastructure/embedded/test_folders.py",
    "acceptance/test_cli_report.py",
    "acceptance/test_cli_terminal.py",
    "infrastructure/sharding/test_live_reports.py",
    "acceptance/test_cli_analysis.py",
    "infrastructure/postgres/archive/test_killed.py",
    "acceptance/test_model.py",
    "http/test_attacks_floods.py",
    "infrastructure/embedded/test_leases.py",
    "http/requests/test_sessions.py",
    "architecture/test_benches.py",
    "infrastructure/sharding/test_moves_under_load.py",
    "infrastructure/sharding/test_replays.py",
    "acceptance/test_cli_names.py",
    "infrastructure/test_fork.py",
    "infrastructure/simulation/test_simulation.py",
    "infrastructure/postgres/test_libpq_environment.py",
    "acceptance/test_erased.py",
    "http/server/test_eviction.py",
    "acceptance/test_cli_privacy.py",
    "acceptance/test_cli_issued_reports.py",
    "infrastructure/postgres/test_dead_connections.py",
    "acceptance/test_cli_streams.py",
    "acceptance/test_cli_keys.py",
    "acceptance/test_cli_export.py",
    "infrastructure/test_opening_stores.py",
    "http/routes/test_api.py",
)
"""Longest first, by their time in one run of all tests; the order need not be exact."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those files first; the others keep their order."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
