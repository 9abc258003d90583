"""A process that uses the service in process, with its own clients: `python -m soak.writer PLAN`."""

import json
import signal
import sys
import threading
from pathlib import Path

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.settings import Settings
from soak.clients import Client, Progress, Soaking
from soak.ways import InProcessWay

CLIENTS = 2
_LOOK_SECONDS = 0.1


def main() -> None:
    """Write until the soak is over, then keep the service open until SIGTERM."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    histories = Path(plan["histories"])
    begin = Path(plan["begin"])
    turn = len(list(histories.glob("writer*-0.jsonl")))  # what ran before was killed
    settings = Settings()
    with open_offerlog(data=settings.data, rules=settings.rules, create=False) as service:
        Path(plan["up"]).touch()
        while not begin.exists():
            if ended.wait(_LOOK_SECONDS):
                return
        now = json.loads(begin.read_text(encoding="utf-8"))
        soaking = Soaking(plan["seed"], now["began"], histories, now["until"], plan["pause"], Progress())
        clients = [Client(f"writer{turn}-{n}", InProcessWay(service), soaking) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        while not ended.wait(_LOOK_SECONDS):
            if not any(client.is_alive() for client in clients):
                Path(plan["done"]).touch()


if __name__ == "__main__":
    main()
