"""The server of a small shop: its pages, who their visitor is, and a chat with an agent who is not real.

The page asks for offers and reports their states itself. This server does the one thing that a page cannot:
it says who the visitor is, by a cookie that scripts cannot read, and signs a visitor token for that visitor.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID, uuid4

from fastapi import Cookie, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from offerlog_client import visitor_token

HERE: Final = Path(__file__).parent
BROWSER_MODULE: Final = HERE.parents[1] / "clients" / "browser" / "offerlog.js"
ACTION_MAP: Final = "3b5e0c5a-7d0b-4c55-9d55-0f6f2f1d2a11"
COOKIE: Final = "shopper"
_YEAR: Final = 365 * 86_400
_MAX_CHATS: Final = 100
_FOLLOW_SECONDS: Final = 10.0
"""A chat that nobody follows by then is over: its page was left at once."""

_FILES: Final = {"shop.js": HERE / "shop.js", "shop.css": HERE / "shop.css", "offerlog.js": BROWSER_MODULE}


@dataclass(frozen=True)
class ShopSettings:
    """What the shop has to know.

    Attributes:
        service: The address of the offerlog service, as browsers reach it.
        widget_key: The key that stands in the pages, with which they report.
        page_key: The key that stays here, and signs visitor tokens.
        timeout_seconds: Seconds after which an unanswered invitation is withdrawn.
        agent_seconds: Seconds until the agent joins a chat.
    """

    service: str
    widget_key: str
    page_key: str
    timeout_seconds: int = 30
    agent_seconds: float = 3.0


class Message(BaseModel):
    """Text that a visitor sends."""

    text: Annotated[str, Field(min_length=1, max_length=1_000)]


Shopper = Annotated[UUID, Cookie(alias=COOKIE)]


def create_shop(settings: ShopSettings) -> FastAPI:
    """Build the shop."""
    shop = FastAPI(title="shop", docs_url=None, redoc_url=None, openapi_url=None)
    _add_visitor(shop, settings)
    _add_chat(shop, settings)
    _add_pages(shop, settings)
    return shop


def _add_visitor(shop: FastAPI, settings: ShopSettings) -> None:
    """Add what a site needs for offerlog."""

    @shop.get("/visitor")
    async def name_visitor(shopper: Shopper) -> JSONResponse:
        """Say who the visitor is, and sign the token with which the page may ask for offers."""
        customer = str(shopper)
        return JSONResponse({"customerId": customer, "token": visitor_token(settings.page_key, customer)})

    @shop.post("/forget", status_code=204)
    async def forget_visitor() -> Response:
        """Take the cookie away, so that the same browser comes as a new visitor."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE)
        return answer


def _add_pages(shop: FastAPI, settings: ShopSettings) -> None:
    """Add the page, its files, and the headers of every answer."""

    @shop.middleware("http")
    async def add_headers(request: Request, serve: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = await serve(request)
        answer.headers["Content-Security-Policy"] = (
            f"default-src 'self'; connect-src 'self' {settings.service}; img-src 'self' data:;"
            " frame-ancestors 'none'"
        )
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    async def show_page(request: Request) -> HTMLResponse:
        page = (HERE / "index.html").read_text(encoding="utf-8")
        for name, value in {
            "service": settings.service,
            "widget_key": settings.widget_key,
            "action_map": ACTION_MAP,
            "timeout_seconds": str(settings.timeout_seconds),
        }.items():
            page = page.replace(f"{{{{{name}}}}}", value)
        answer = HTMLResponse(page)
        if COOKIE not in request.cookies:
            answer.set_cookie(COOKIE, str(uuid4()), max_age=_YEAR, httponly=True, samesite="lax")
        return answer

    for path in ("/", "/basket", "/products"):  # views of one page
        shop.get(path)(show_page)

    @shop.get("/{name}")
    async def send_file(name: str) -> FileResponse:
        if name not in _FILES:
            raise HTTPException(404)
        return FileResponse(_FILES[name])


class _Chat:
    """A chat: the texts of its visitor, and whether a page follows it."""

    def __init__(self) -> None:
        self.texts = asyncio.Queue[str](maxsize=100)
        self.is_followed = False


def _drop_unless_followed(chats: dict[UUID, _Chat], chat: UUID) -> None:
    if chat in chats and not chats[chat].is_followed:
        del chats[chat]


def _add_chat(shop: FastAPI, settings: ShopSettings) -> None:
    """Add the chat with an agent who is not real."""
    chats: dict[UUID, _Chat] = {}

    @shop.post("/chats", status_code=201)
    async def begin_chat(_: Shopper, question: Message) -> dict[str, UUID]:
        if len(chats) >= _MAX_CHATS:
            raise HTTPException(503, "all agents are busy")
        chat = uuid4()
        chats[chat] = _Chat()
        chats[chat].texts.put_nowait(question.text)
        asyncio.get_running_loop().call_later(_FOLLOW_SECONDS, _drop_unless_followed, chats, chat)
        return {"id": chat}

    @shop.post("/chats/{chat}/messages", status_code=202)
    async def send_message(_: Shopper, chat: UUID, message: Message) -> None:
        if chat not in chats or chats[chat].texts.full():
            raise HTTPException(404, "this chat is over")
        chats[chat].texts.put_nowait(message.text)

    @shop.get("/chats/{chat}")
    async def follow_chat(_: Shopper, chat: UUID) -> StreamingResponse:
        """Send what happens in a chat, as Server-Sent Events: the agent joins, and answers."""
        if chat not in chats or chats[chat].is_followed:
            raise HTTPException(404, "this chat is over")

        async def happen() -> AsyncIterator[str]:
            chats[chat].is_followed = True
            try:
                async for event in _answer(chats[chat].texts, settings.agent_seconds):
                    yield event
            finally:
                del chats[chat]

        return StreamingResponse(happen(), media_type="text/event-stream")


async def _answer(texts: asyncio.Queue[str], seconds: float) -> AsyncIterator[str]:
    """Let the agent join, and answer each text."""
    await asyncio.sleep(seconds)
    yield _event("agent", "Robin")
    while True:
        yield _event("answer", f"You wrote “{await texts.get()}”. I look into it.")


def _event(kind: str, text: str) -> str:
    return f"event: {kind}\ndata: {json.dumps(text)}\n\n"
