"""The dashboard's pages: logging in by key, and templates whose scripts ask the API."""

from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates
from starlette.concurrency import run_in_threadpool

from offerlog_application.keys import Key, Role
from offerlog_infrastructure.http.bodies import whole
from offerlog_infrastructure.http.problems import Problem
from offerlog_infrastructure.http.sessions import COOKIE, session_of

router = APIRouter(include_in_schema=False)

_TEMPLATES: Final = Jinja2Templates(directory=Path(__file__).parent / "templates")
_POLICY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # a form's Origin would be sent as null else
}
PAGES: Final = {"": "report", "visitors": "visitors", "health": "health"}
"""Path and template of each page behind the log-in."""


def _page(request: Request, template: str, status: int = 200, **told: object) -> Response:
    return _TEMPLATES.TemplateResponse(request, f"{template}.html", told, status, _POLICY)


@router.get("/")
@router.get("/visitors")
@router.get("/health")
async def page(request: Request) -> Response:
    """A page, or the log-in where nobody is logged in."""
    found = await session_of(request)
    if found is None:
        return _page(request, "login")
    key, session = found
    name = PAGES[request.url.path.strip("/")]
    return _page(
        request, name, organization=key.organization, role=key.role.value, csrf=session.csrf, name=name
    )


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Exchange a key for a session; the key itself goes no further."""
    _same_origin(request)
    text = await _field(request, "key")
    key: Key | None = await run_in_threadpool(request.app.state.keys.find, text.strip())
    if key is None:
        return _page(request, "login", 401, wrong="This key is not known, or has been revoked.")
    if key.role not in {Role.REPORTER, Role.ADMIN}:
        return _page(
            request, "login", 403, wrong=f"A {key.role} key opens no reports: use a reporter or admin key."
        )
    session = request.app.state.sessions.open(text.strip())
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE,
        session,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        max_age=request.app.state.sessions.seconds,
    )
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session."""
    _same_origin(request)
    found = await session_of(request)
    if found is not None:
        if await _field(request, "csrf") != found[1].csrf:
            raise Problem(403, "forbidden", "this form is not from a page of ours; load the page again")
        request.app.state.sessions.close(request.cookies[COOKIE])
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE)
    return answer


async def _field(request: Request, name: str) -> str:
    """A field of a form as browsers send it."""
    fields = parse_qs((await whole(request)).decode("utf-8", "replace"))
    return fields.get(name, [""])[0]


def _same_origin(request: Request) -> None:
    """Refuse a form that another site has sent.

    Raises:
        Problem: It comes from elsewhere.
    """
    origin = request.headers.get("origin")
    elsewhere = request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}
    if elsewhere or (origin is not None and origin.partition("://")[2] != request.headers.get("host")):
        raise Problem(403, "forbidden", "this form was sent from another site")
