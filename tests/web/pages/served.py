"""The service in a thread, on a port of its own, to be stopped and started again."""

import asyncio
import json
import threading
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
    """The service over one database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.port = 0

    def start(self) -> None:
        """Serve on a free port."""
        self.service = open_offerlog(database_url=self.dsn, keep_deadlines=False)
        config = uvicorn.Config(stub(self.service), host="127.0.0.1", port=0, log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Finish what is under way and end."""
        self.server.should_exit = True
        self.thread.join()
        self.service.close()
