"""The service with workers: what one process does, several processes of one service do together."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import Role
from support.command_line import COMMAND_ENTRY, CommandLine, an_id, signal_of
from support.positions import number_of
from support.preloaded import preloaded
from support.processes import finish
from support.worker_service import Posting, WorkerService, is_running, kill, serving_workers, until

ORGANIZATION = "served-by-workers"


@pytest.fixture(scope="module")
def store(cli_store: tuple[Path, Offerlog]) -> Offerlog:
    """The store behind the service, opened in this process, too."""
    return cli_store[1]


@pytest.fixture(scope="module")
def served(
    cli_store: tuple[Path, Offerlog], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerService]:
    """One service with two workers for all tests of this file."""
    folder, service = cli_store
    service.organizations.register(ORGANIZATION)
    command = CommandLine(folder, ORGANIZATION)
    with serving_workers(command, tmp_path_factory.mktemp("key") / "admin-key") as running:
        yield running
        assert running.end() == 0


def service_key(store: Offerlog) -> str:
    """A new service key of the organization."""
    return store.keys.create(ORGANIZATION, Role.SERVICE, "a test's")[1]


def logged(store: Offerlog, action_map: str) -> Counter[str]:
    """The actions of a map that the log has, with the number of their offers."""
    events = store.events(
        types=["offered"], action_maps=[action_map], organization=ORGANIZATION, identified=True
    )
    return Counter(str(event.private.action_id) for event in events if event.private is not None)


def test_a_killed_worker_loses_and_doubles_nothing(served: WorkerService, store: Offerlog) -> None:
    """It starts again; its clients send again what was not answered; no counter of the metrics falls."""
    # given
    posting = Posting(served.url, service_key(store))
    posting.start()
    until(lambda: len(posting.acknowledged) > 100)
    before = counted(served)
    # when
    kill(served.workers[0])
    served.await_line("worker 1 (process")
    served.await_line("serves again")
    killed_at = len(posting.acknowledged)
    until(lambda: len(posting.acknowledged) > killed_at + 100)
    posting.stop()
    # then
    assert logged(store, posting.action_map) == Counter(posting.acknowledged)
    assert Counter(posting.acknowledged).most_common(1)[0][1] == 1
    after = counted(served, "offerlog_process_restarts_total 1.0")
    assert after["offerlog_process_restarts_total"] == 1
    assert after["offerlog_processes"] == 3
    assert after["recorded"] >= before["recorded"] > 0
    assert after["recorded"] <= len(posting.acknowledged)


def counted(served: WorkerService, awaited: str = "offerlog_processes 3.0") -> dict[str, float]:
    """Some metrics of the service, once all workers say this: each may remember an answer for a moment."""
    with served.clients() as clients:
        until(lambda: all(awaited in client.get("/metrics").text for client in clients))
        text = clients[0].get("/metrics").text
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("offerlog_process"):
            found[name] = float(value)
        if name.startswith('offerlog_outcomes_total{outcome="recorded"'):
            found["recorded"] = float(value)
    return found


def test_the_same_signals_at_all_workers_at_once_count_once(served: WorkerService, store: Offerlog) -> None:
    """Each is recorded by one of them, and a duplicate for the others; so is an offer asked for twice."""
    # given
    action_map = an_id()
    signals = [signal_of("offered", an_id(), action_map, customerId=an_id()) for _ in range(20)]
    outcomes: list[list[str]] = []
    with served.clients(service_key(store), 8) as clients:
        barrier = threading.Barrier(len(clients))

        def post(client: httpx.Client) -> None:
            barrier.wait(30)
            answer = client.post("/v1/signals", json=signals).json()
            outcomes.append([one["outcome"] for one in answer["outcomes"]])

        threads = [threading.Thread(target=post, args=(client,)) for client in clients]
        # when
        for thread in threads:
            thread.start()
        finish(*threads)
    # then
    assert len(outcomes) == 8
    for of_one_signal in zip(*outcomes, strict=True):
        assert Counter(of_one_signal) == {"recorded": 1, "duplicate": 7}
    assert logged(store, action_map) == Counter(one["actionId"] for one in signals)


def test_a_session_holds_at_all_workers_until_its_log_out(served: WorkerService) -> None:
    """The form of one worker's page ends the session at every worker, once the others have looked again."""
    with served.clients("") as clients:
        # given
        answer = clients[0].post("/login", data={"key": served.key, "page": "/"})
        assert answer.status_code == 303
        cookie = {"Cookie": f"offerlog_session={answer.cookies['offerlog_session']}"}
        clients[0].cookies.clear()
        # when
        pages = [client.get("/", headers=cookie).text for client in clients]
        tokens = {page.partition('name="csrf" value="')[2].partition('"')[0] for page in pages}
        (token,) = tokens
        assert token
        clients[1].post("/logout", data={"csrf": token}, headers=cookie)
        # then
        assert all("Log out" in page for page in pages)
        until(
            lambda: not any("Log out" in client.get("/", headers=cookie).text for client in clients),
            seconds=8,
        )


def test_limits_hold_for_all_workers_together(served: WorkerService, store: Offerlog) -> None:
    """Requests with a widget key from one address: 40 at once, and 10 a second after that."""
    # given
    key = store.keys.create(ORGANIZATION, Role.WIDGET, "a test's", ("https://shop.example",))[1]
    action_map = an_id()
    store.record([signal_of("offered", an_id(), action_map)], organization=ORGANIZATION)
    # when
    began, answers = time.monotonic(), list[int]()
    with served.clients(key) as clients:
        for number in range(120):
            signal_ = signal_of("offered", an_id(), action_map, customerId=an_id())
            answer = clients[number % len(clients)].post(
                "/v1/signals", json=signal_, headers={"Origin": "https://shop.example"}
            )
            answers.append(answer.status_code)
    # then
    passed = Counter(answers)
    assert set(passed) == {200, 429}
    assert 40 <= passed[200] <= 41 + 10 * (time.monotonic() - began)


def test_clients_that_wait_are_counted_over_all_workers(served: WorkerService, store: Offerlog) -> None:
    """Twenty with one key; an event that one worker records wakes a client of any other."""
    key = service_key(store)
    # The last event is one of this process, so none of the tests before comes behind it.
    receipt = store.record([signal_of("offered", an_id(), an_id())], organization=ORGANIZATION)
    last = number_of(receipt.position)
    until(lambda: number_of(store.feed.end()) >= last)
    page = {"lastEventId": str(last), "timeout": "50000"}
    with served.clients(key, 25) as clients:
        answers: list[httpx.Response] = []
        threads = [
            threading.Thread(target=lambda one=client: answers.append(one.get("/v1/events", params=page)))
            for client in clients
        ]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) >= 5)
        assert {one.status_code for one in answers} == {429}
        with served.clients(key, 1) as (other,):
            other.post("/v1/signals", json=signal_of("offered", an_id(), an_id(), customerId=an_id()))
        finish(*threads)
    assert Counter(one.status_code for one in answers) == {200: 20, 429: 5}


def test_a_key_revoked_at_one_worker_is_refused_at_all(served: WorkerService, store: Offerlog) -> None:
    """Within the seconds for which a process remembers a key."""
    key, text = store.keys.create(ORGANIZATION, Role.SERVICE, "a test's")
    with served.clients(text) as clients, served.clients(count=1) as (admin,):
        assert {one.get("/v1/suppressions?customer_id=v").status_code for one in clients} == {200}
        assert admin.delete(f"/v1/keys/{key.id}").status_code in {200, 204}
        until(
            lambda: {one.get("/v1/suppressions?customer_id=v").status_code for one in clients} == {401},
            seconds=8,
        )


def test_the_status_shows_the_workers(served: WorkerService, cli_store: tuple[Path, Offerlog]) -> None:
    """The number of workers that are connected to the store. The exit code depends on the whole store."""
    seen = subprocess.run(
        [*preloaded(COMMAND_ENTRY), "status"],
        env=CommandLine(cli_store[0], ORGANIZATION).environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert seen.returncode in {0, 5}
    assert f"{served.url} is ready (2 of 2 workers)" in " ".join(seen.stdout.split())


def test_a_stop_answers_what_was_sent(
    cli_store: tuple[Path, Offerlog], store: Offerlog, tmp_path: Path
) -> None:
    """SIGTERM under load: every answer stands, nothing is lost or doubled, and no process is left."""
    with serving_workers(CommandLine(cli_store[0], ORGANIZATION), tmp_path / "unused", key="") as running:
        posting = Posting(running.url, service_key(store))
        posting.start(4)
        until(lambda: len(posting.acknowledged) > 50)
        began = time.monotonic()
        # when
        code = running.end(signal.SIGTERM)
        # then
        assert (code, time.monotonic() - began < 15) == (0, True)
        posting.give_up()
        assert not any(is_running(pid) for pid in [running.background, *running.workers])
    found = logged(store, posting.action_map)
    assert found.keys() >= set(posting.acknowledged)
    assert set(found.values()) == {1}


def test_processes_do_not_outlive_their_supervisor(cli_store: tuple[Path, Offerlog], tmp_path: Path) -> None:
    """`kill -9` of it: the others end by themselves, and the last one removes what they shared."""
    before = shared_folders()
    with serving_workers(CommandLine(cli_store[0], ORGANIZATION), tmp_path / "unused", key="") as running:
        assert len(shared_folders() - before) == 1
        kill(running.supervisor)
        until(lambda: not any(is_running(pid) for pid in [running.background, *running.workers]), 20)
    assert not shared_folders() - before


def shared_folders() -> set[Path]:
    """The folders that services with workers of this run have now."""
    return set(Path(os.environ["OFFERLOG_TEST_FOLDER"]).glob("offerlog-w-*"))
