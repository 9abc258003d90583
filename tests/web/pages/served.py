"""The service in a process of its own, to be stopped, killed and started again."""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles

import offerlog_infrastructure
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.service import Offerlog

KEY = "ofl_widget_stub"


def stub(service: Offerlog) -> FastAPI:
    """What takes signals as the API does."""
    app = FastAPI()
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["Retry-After"],
    )

    @app.post("/v1/signals")
    async def signals(request: Request) -> Response:
        lines = (await request.body()).splitlines()
        if request.headers["content-type"].startswith("text/plain"):
            key = json.loads(lines.pop(0))["key"]
        else:
            key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key != KEY:
            return Response(status_code=401)
        receipt = await asyncio.wrap_future(service.submit(lines))
        outcomes = [{"outcome": o.kind, "reason": o.reason, "cause": o.cause} for o in receipt.outcomes]
        answer = json.dumps({"outcomes": outcomes, "position": receipt.position})
        return Response(answer, media_type="application/json")

    static = Path(offerlog_infrastructure.__file__).parent / "web/static"
    app.mount("/static", StaticFiles(directory=static))
    return app


class Served:
    """The service over one database, in a process of its own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.port = 0

    def start(self) -> None:
        """Serve on a free port; returns when it does."""
        command = [sys.executable, __file__, self.dsn]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        """Let it finish what is under way and end."""
        self.process.terminate()
        self._gone()

    def kill(self) -> None:
        """Give it no chance to finish anything."""
        self.process.kill()
        self._gone()

    def _gone(self) -> None:
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def main(dsn: str) -> None:
    """Serve until told to stop, and print the port first."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        print(listening.getsockname()[1], flush=True)  # noqa: T201 - whoever started this reads it
        config = uvicorn.Config(stub(service), log_level="warning")
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main(sys.argv[1])
