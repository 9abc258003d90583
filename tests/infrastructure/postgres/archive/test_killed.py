"""An archiver that is killed at any step leaves nothing to be undone, and the next one goes on."""

import signal
import subprocess
from datetime import timedelta
from pathlib import Path

from support.databases import Databases
from support.journeys import DAY
from support.killed_archiver import STEPS
from support.preloaded import preloaded
from support.recount import rows
from support.twin_stores import MAPS, dated, move, open_twins


def names_in(folder: Path) -> set[str]:
    """The files that are there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}


def test_each_step_may_be_the_last(databases: Databases, tmp_path: Path) -> None:
    """Late signals come in between; both stores go on alike, and no file is left that nobody names."""
    with open_twins(databases, tmp_path, is_moved=False) as twins:
        dsn, folder = twins.dsns[1], tmp_path / "archive"
        position = twins.archived.issued_reports._replays.position_at(DAY + timedelta(days=50))
        for n, step in enumerate(STEPS):
            # when
            killed = subprocess.run(
                [*preloaded("support.killed_archiver:main"), dsn, str(folder), str(position), step],
                check=False,
                capture_output=True,
                timeout=120,
            )
            # then
            assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
            moved = rows(dsn, "SELECT count(*) FROM archived_files")[0][0]
            assert moved == (step == STEPS[-1])
            late = [
                dated(DAY, state, visitor=visitor, actionMapId=MAPS[visitor % 3], action=10 + n)
                for visitor in range(7)
                for state in ("offered", "rejected")
            ]
            outcomes = [service.record(late).outcomes for service in (twins.plain, twins.archived)]
            assert outcomes[0] == outcomes[1]
        # and the next one removes what is left, and goes on
        move(twins.archived, folder, DAY + timedelta(days=50))
        named = {name for (name,) in rows(dsn, "SELECT name FROM archived_files")}
        assert len(named) > 1
        assert names_in(folder) == named
        assert rows(dsn, "SELECT * FROM archive_leftovers") == []
        pages = [list(service.feed.events(identified=True)) for service in (twins.plain, twins.archived)]
        assert pages[0] == pages[1]
        twins.archived.catch_up()
        assert not any(one.differences for one in twins.archived.verify())
