"""The machine of a data folder: what the store takes, and what its server has complained of."""

from datetime import UTC, datetime
from pathlib import Path

from offerlog_infrastructure.observing.machine import observe_disk, read_faults

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
LOG = """\
2026-03-01 09:59:59.000 UTC [1] PANIC:  too long ago
2026-03-01 10:00:00.123 UTC [1] PANIC:  could not write to file: No space left on device
2026-03-02 09:00:00.123 UTC [2] LOG:  checkpoint complete
2026-03-02 09:00:01.000 UTC [2] FATAL:  the database system is starting up
2026-03-02 09:00:02.000 UTC [2] FATAL:  terminating connection due to administrator command
2026-03-02 09:00:03.000 UTC [3] FATAL:  terminating connection due to idle-in-transaction timeout
no line of PostgreSQL: FATAL
"""


def test_faults_of_the_last_day_are_found_in_the_end_of_the_log(tmp_path: Path) -> None:
    """But for those that every start and stop brings."""
    log = tmp_path / "server.log"
    assert read_faults(log, NOW) is None
    log.write_text("x" * (1 << 20) + "\n" + LOG)
    assert read_faults(log, NOW) == [
        "2026-03-01 10:00:00 PANIC:  could not write to file: No space left on device",
        "2026-03-02 09:00:03 FATAL:  terminating connection due to idle-in-transaction timeout",
    ]


def test_the_space_of_a_store_is_that_of_its_files(tmp_path: Path) -> None:
    """What a link leads to is elsewhere, and a folder that is gone has no disk."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "link").symlink_to("/etc")
    seen = observe_disk(tmp_path)
    assert seen is not None
    assert 100_000 <= seen.store_bytes < 200_000
    assert 0 < seen.free_bytes < seen.total_bytes
    assert observe_disk(tmp_path / "gone") is None
