"""The files of the local suppression list: private, of no use to a thief; without room, an error at once."""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import lmdb
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.replica.store import ReplicaFolderError, ReplicaStore
from support.internals import application_of
from support.recount import until

OPEN = """
import resource, sys
from pathlib import Path
kind, size = sys.argv[3:]
resource.setrlimit(getattr(resource, kind), (int(size), int(size)))
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.replica.store import ReplicaFolderError
try:
    open_offerlog(database_url=sys.argv[1], keep_deadlines=False, project=False, replica=Path(sys.argv[2]))
except ReplicaFolderError as error:
    print(error)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where replicas lie."""
    with tempfile.TemporaryDirectory(prefix="replica-files-") as name:
        yield Path(name) / "lists"


def rejected(service: Offerlog, customer: str) -> None:
    """Have a customer turn an offer down, and wait until the projections show it."""
    ids = {name: str(uuid.uuid4()) for name in ("actionId", "actionMapId", "sessionId")}
    lines = [json.dumps({**ids, "customerId": customer, "actionState": s}) for s in ("offered", "rejected")]
    service.wait(service.record([line.encode() for line in lines]).position)


def unkeyed(organization: str, customer: str) -> bytes:
    """The digest that anybody can make."""
    kind, who, where = b"cookie", customer.encode(), organization.encode()
    parts = b"%d:%d:%b%b%b" % (len(where), len(kind), where, kind, who)
    return blake2b(parts, digest_size=20).digest()


def test_a_thief_cannot_try_out_customer_ids(dsn: str, folder: Path) -> None:
    """The digests are made under a secret that is not in the file."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as service:
        rejected(service, "+49 30 1234567")
        until(lambda: bool(service.local_suppressions("+49 30 1234567").suppressions))
        secret = application_of(service).keys.secret("default")
    stored = (folder / "suppressions-0" / "data.mdb").read_bytes()
    assert unkeyed("default", "+49 30 1234567") not in stored
    assert secret not in stored


@pytest.mark.parametrize("old", [None, b"2"])
def test_an_old_file_is_made_anew(dsn: str, folder: Path, old: bytes | None) -> None:
    """With plain digests, or action ids in clear: it is copied from the log, and nothing of it is left."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as service:
        rejected(service, "v1")
        until(lambda: bool(service.local_suppressions("v1").suppressions))
    data = folder / "suppressions-0"
    with lmdb.open(str(data)) as file, file.begin(write=True) as transaction:
        transaction.delete(b"format")
        if old is not None:
            transaction.put(b"format", old)
        transaction.put(unkeyed("default", "someone else"), b"x" * 41)
    (data / "data.mdb").chmod(0o644)
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as service:
        assert service.local_suppressions("v1").suppressions
    with lmdb.open(str(data)) as file, file.begin() as transaction:
        assert transaction.get(unkeyed("default", "someone else")) is None
    assert (data / "data.mdb").stat().st_mode & 0o777 == 0o600


def test_folders_and_files_are_closed_to_others(folder: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        ReplicaStore.open(folder).close()
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("which", ["lists", "lists/suppressions-0"])
def test_a_folder_that_others_can_write_to_is_refused(folder: Path, which: str) -> None:
    """They could put a list there in which nobody is suppressed."""
    (folder / "suppressions-0").mkdir(parents=True, mode=0o700)
    (folder.parent / which).chmod(0o777)
    with pytest.raises(ReplicaFolderError, match="chmod 700"):
        ReplicaStore.open(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    """In a folder that everybody shares, anybody can be there first."""
    (folder / "suppressions-0").mkdir(parents=True, mode=0o700)
    os.chown(folder / "suppressions-0", 12345, 12345)
    with pytest.raises(ReplicaFolderError, match="another user"):
        ReplicaStore.open(folder)


@pytest.mark.parametrize(
    ("limit", "size", "why"), [("RLIMIT_FSIZE", 6000, "File too large"), ("RLIMIT_AS", 8 << 30, "ulimit -v")]
)
def test_where_there_is_no_room_the_error_comes_at_once(
    dsn: str, folder: Path, limit: str, size: int, why: str
) -> None:
    """A full disk, and a limit on the address space: it took five minutes, or was a bare MemoryError."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        for n in range(20):
            rejected(service, f"visitor-{n}")
    run = subprocess.run(
        [sys.executable, "-c", OPEN, dsn, folder, limit, str(size)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert str(folder) in run.stdout
    assert why in run.stdout
