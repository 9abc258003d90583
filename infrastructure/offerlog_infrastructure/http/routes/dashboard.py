"""Pages of the dashboard: log-in with a key, and templates whose scripts call the API."""

import hmac
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.problems import ProblemError, of_store
from offerlog_infrastructure.http.requests.bodies import read_form
from offerlog_infrastructure.http.requests.sessions import cannot_keep_cookie, delete_cookie, set_cookie
from offerlog_infrastructure.http.state import state_of

router = APIRouter(include_in_schema=False)

_TEMPLATES: Final = Jinja2Templates(directory=Path(__file__).parents[2] / "web" / "templates")
_POLICY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send a form's Origin as null
}
PAGES: Final = {
    "": "report",
    "action-maps": "action_maps",
    "offers": "offers",
    "visitors": "visitors",
    "health": "health",
    "keys": "keys",
}
"""Path and template of each page that needs a log-in."""

_FOR_ADMINS: Final = frozenset({"keys"})
"""Pages that only an admin key opens."""

_NEEDS_TLS: Final = (
    "Logging in needs HTTPS: over plain HTTP a browser keeps no session, except on this machine itself."
    " Put a reverse proxy with TLS before the service, have it send X-Forwarded-Proto, and name its address"
    " in OFFERLOG_TRUSTED_PROXIES."
)


def _render(request: Request, template: str, status: int = 200, **values: object) -> Response:
    return _TEMPLATES.TemplateResponse(request, f"{template}.html", values, status, _POLICY)


def _render_trouble(request: Request, error: StoreUnavailableError, page: str) -> Response:
    return _render(request, "trouble", of_store(error).status, page=page, reason=error.summary)


@router.get("/")
@router.get("/action-maps")
@router.get("/offers")
@router.get("/visitors")
@router.get("/health")
@router.get("/keys")
async def page(request: Request) -> Response:
    """Answer with a page; without a session with the log-in, without the store with the reason."""
    try:
        session = await state_of(request).sessions.find(request)
    except StoreUnavailableError as error:
        return _render_trouble(request, error, _with_query(request.url.path, request.url.query))
    if session is None:
        return _render(request, "login", page=_with_query(request.url.path, request.url.query))
    key, name = session.key, PAGES[request.url.path.strip("/")]
    values: dict[str, Any] = {
        "organization": key.organization,
        "role": key.role.value,
        "csrf": session.csrf,
        "name": name,
    }
    if name in _FOR_ADMINS and key.role is not Role.ADMIN:
        return _render(request, "trouble", 403, page="/", reason="This page needs an admin key.", **values)
    return _render(request, name, roles=list(Role), **values)


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Exchange a key for a session; the key itself is not kept."""
    _check_origin(request)
    fields = await read_form(request)
    text, target = fields.get("key", ""), _check_page(fields.get("page", "/"))
    if cannot_keep_cookie(request):
        return _render(request, "login", 403, page=target, wrong=_NEEDS_TLS)
    key = await state_of(request).sessions.key_to_log_in(request, text.strip())
    if key is None:
        why = state_of(request).key_checks.say_why_not(text.strip())
        return _render(request, "login", 401, page=target, wrong=f"{why[0].upper()}{why[1:]}.")
    if key.role not in {Role.REPORTER, Role.ADMIN}:
        wrong = f"A {key.role} key opens no reports: use a reporter or admin key."
        return _render(request, "login", 403, page=target, wrong=wrong)
    answer = RedirectResponse(target, 303)
    try:
        set_cookie(answer, request, await state_of(request).sessions.open(request, key))
    except StoreUnavailableError as error:
        return _render_trouble(request, error, target)
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session."""
    _check_origin(request)
    session = await state_of(request).sessions.find(request)
    if session is not None:
        token = (await read_form(request)).get("csrf", "")
        if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), session.csrf.encode()):
            raise ProblemError("forbidden", "this form is not from a page of ours; load the page again")
        await state_of(request).sessions.close(request)
    answer = RedirectResponse("/", 303)
    delete_cookie(answer, request)
    return answer


def _with_query(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _check_page(page: str) -> str:
    """Return a page of the dashboard with its query; the first page in place of anything else."""
    path, _, query = page.partition("?")
    return _with_query(path, query) if path.removeprefix("/") in PAGES and path.startswith("/") else "/"


def _check_origin(request: Request) -> None:
    """Refuse a form that another site has sent.

    Raises:
        ProblemError: 403, the form comes from another site.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise ProblemError("forbidden", "this form was sent from another site")
    if origin is not None and origin.partition("://")[2] != host:
        raise ProblemError(
            "forbidden",
            f"this form was sent from another site: its Origin is {origin}, and the Host that has reached the"
            f" service is {host}. If a reverse proxy in between has changed Host, let it pass Host on (nginx:"
            " proxy_set_header Host $http_host)",
        )
