"""HEAD for every route with GET: the same status and headers, without a body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Answers HEAD with the status and headers of the answer to GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})  # a stream notices the end of its answer, and ends

        get_scope = {**scope, "method": "GET"}
        try:
            await self._app(get_scope, receive, send_head)
        finally:
            scope.update(get_scope, method="HEAD")  # the log line names its route
