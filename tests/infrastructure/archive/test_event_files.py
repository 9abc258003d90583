"""Files of archived events: what reading one loads."""

import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from offerlog_infrastructure.archive.event_files import write_events
from support.preloaded import preloaded_code

pytest.importorskip("pyarrow", reason="the extra archive is not installed")

_READ = """
import pathlib, sys
from offerlog_infrastructure.archive.event_files import EventTable
table = EventTable(pathlib.Path(sys.argv[1]).read_bytes())
print(len(table.all()), [name for name in ("pandas", "pyarrow.dataset") if name in sys.modules])
"""


def test_a_file_is_read_without_loading_pandas(tmp_path: Path) -> None:
    """It would take more than a second of each command over an archive."""
    file = tmp_path / "events.parquet"
    with file.open("wb") as stream:
        write_events(stream, [[(7, UUID(int=1), 1, "offered", b"state")]], {})
    # when
    words = [*preloaded_code(_READ), str(file)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    # then
    assert run.stdout == "1 []\n"
