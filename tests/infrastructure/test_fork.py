"""A process forked from one with an open service: every use there raises at once, and harms nobody."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ready_stores import put_store

SCRIPT = """
import json, os, signal, sys
from offerlog_infrastructure.composition import open_offerlog

signal.alarm(100)  # whatever hangs, ends

def told(action):
    return {"actionId": f"00000000-0000-4000-8000-{action:012}", "actionState": "offered",
            "actionMapId": "00000000-0000-4000-8000-000000000001", "customerId": f"visitor-{action}",
            "sessionId": "00000000-0000-4000-8000-000000000002"}

def backends(service):
    with service._log._application.log.datastore.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database() ORDER BY pid")
        return [row["pid"] for row in cursor.fetchall()]

def said(act):
    try:
        return repr(act())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

with open_offerlog(data=sys.argv[1]) as service:
    service.record([told(1)])
    service.suppressions("visitor-1")
    record, keys = service.record, service.keys
    before = set(backends(service))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a fork inherits none
        public = [n for n in dir(type(service).__mro__[1]) if not n.startswith("_") and n != "close"]
        answers = {name: said(lambda: getattr(service, name)) for name in public}
        answers["record, bound before"] = said(lambda: record([told(2)]))
        answers["keys, taken before"] = said(lambda: keys.list("default"))
        answers["close"] = said(service.close)
        answers["close again"] = said(service.close)
        if sys.argv[2] == "opens its own":
            with open_offerlog(data=sys.argv[1]) as own:
                answers["its own"] = own.record([told(3)]).outcomes[0].kind.value
        os.write(write, json.dumps(answers).encode())
        sys.exit(0)  # as usual, past every finalizer and the end of the with block
    os.close(write)
    with os.fdopen(read) as answers:
        text = answers.read()
    status = os.waitpid(child, 0)[1]
    after = service.record([told(4)]).outcomes[0].kind.value
    print(json.dumps({"answers": json.loads(text), "status": status, "after": after, "parent": os.getpid(),
                      "child": child, "kept": before <= set(backends(service))}))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user can enter, with a store in it."""
    with tempfile.TemporaryDirectory(prefix="offerlog-fork-") as made:
        Path(made).chmod(0o755)
        put_store(Path(made) / "store")
        yield Path(made)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork")
@pytest.mark.parametrize("child", ["closes", "opens its own"])
def test_a_forked_process_is_told_to_open_its_own_service(folder: Path, child: str) -> None:
    """Nothing hangs there, and its close and its end leave the parent's server and connections alone."""
    # given a process with an open service over the embedded store, forked, with real threads and connections
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder / "store"), child],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    # then every public method and attribute raised in the child, also those taken before the fork
    answers = answer["answers"]
    closes = [answers.pop("close"), answers.pop("close again")]
    if child == "opens its own":
        assert answers.pop("its own") == "recorded"
    expected = (
        f"ForkedServiceError: this service was opened by process {answer['parent']}, and process"
        f" {answer['child']} was forked from it later: call open_offerlog in the new process"
    )
    assert len(answers) > 20
    assert set(answers.values()) == {expected}
    assert closes == ["None", "None"]
    # and the parent's server, connections and writer are as they were
    assert answer["status"] == 0
    assert answer["after"] == "recorded"
    assert answer["kept"]


SHARED_SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from offerlog.testing import SharedStore, open_in_memory

signal.alarm(100)  # whatever hangs, ends

MAP = "00000000-0000-4000-8000-000000000001"

def act(do):
    try:
        return repr(do())
    except Exception as error:
        return type(error).__name__

with open_in_memory() as in_memory:
    store = SharedStore(Path(sys.argv[1]))
    with store.open("test") as shared:
        services = {"in memory": in_memory, "shared": shared}
        for service in services.values():
            service.record([])
            service.eligibility(customer_id="v", action_map_id=MAP)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a fork inherits none
            answers = {}
            for name, service in services.items():
                uses = [lambda: service.record([]), lambda: service.report]
                answers[name] = [*map(act, uses), act(service.close)]
            answers["store"] = [act(lambda: store.open("other")), act(store.close)]
            os.write(write, json.dumps(answers).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as answers:
            text = answers.read()
        os.waitpid(child, 0)
        ask = lambda one: act(lambda: one.eligibility(customer_id="v", action_map_id=MAP))
        after = [ask(service) for service in services.values()]
    store.close()
    print(json.dumps({"answers": json.loads(text), "after": after}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork")
def test_services_of_tests_raise_in_a_forked_process_too(folder: Path) -> None:
    """Those of a shared store and those in memory; the parent's go on."""
    ran = subprocess.run(
        [sys.executable, "-c", SHARED_SCRIPT, str(folder / "store")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["answers"] == {
        "in memory": ["ForkedServiceError", "ForkedServiceError", "None"],
        "shared": ["ForkedServiceError", "ForkedServiceError", "None"],
        "store": ["ForkedServiceError", "None"],
    }
    assert answer["after"] == ["None", "None"]
