"""Routes that are served without the framework's layers: those that a page view waits for.

The framework finds a route, solves its dependencies as a graph, validates and converts, and wraps each step
for features that these routes do not use. That costs several times as much as the rest of a small request. A
straight route calls the same dependencies and the same endpoint, one after the other.

The framework's route stays: it describes the operation, and it serves whatever is not straight. Both ways
give the same answers, headers, log lines and spans, because nothing but the calling differs.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from offerlog_infrastructure.http.problems import answer_error

Dependency = Callable[[Request], Awaitable[Any]]

_UNSUPPORTED: Final = ("header_params", "cookie_params", "body_params")


class StraightRoute:
    """The dependencies and the endpoint of a framework's route, called in order.

    Args:
        route: The framework's route.

    Attributes:
        route: The same.

    Raises:
        TypeError: The route needs more than a request, parameters that are any text, and dependencies that
            take the request alone.
    """

    def __init__(self, route: APIRoute) -> None:
        wanted = route.dependant
        texts = [*wanted.path_params, *wanted.query_params]
        is_simple = (
            wanted.request_param_name == "request"
            and not any(getattr(wanted, kind) for kind in _UNSUPPORTED)
            and all(one.field_info.annotation is str and not one.field_info.metadata for one in texts)
            and all(_takes_request_alone(one) for one in wanted.dependencies)
        )
        if not is_simple or wanted.call is None:
            raise TypeError(f"{route.path_format} cannot be served straight")
        self.route = route
        self._endpoint = wanted.call
        self._dependencies: Sequence[tuple[str | None, Dependency]] = [
            (one.name, one.call) for one in wanted.dependencies if one.call is not None
        ]
        self._required = [
            (one.name, one.alias) for one in wanted.query_params if one.field_info.is_required()
        ]
        self._optional = [
            (one.name, one.alias, one.field_info.default)
            for one in wanted.query_params
            if not one.field_info.is_required()
        ]
        self._matches = route.path_regex.match

    def match(self, scope: Scope) -> Mapping[str, str] | None:
        """Return the parameters in the path of a request; None if the framework is to serve it."""
        found = self._matches(scope["path"])
        return None if found is None else found.groupdict()

    def is_complete(self, request: Request) -> bool:
        """Return False if a required parameter is missing: the framework says which."""
        return all(alias in request.query_params for _, alias in self._required)

    async def answer(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """Call the dependencies in order, then the endpoint; return its response.

        Args:
            request: The request.
            parameters: The parameters in its path.

        Raises:
            Exception: Whatever a dependency or the endpoint raises.
        """
        values: dict[str, Any] = {"request": request, **parameters}
        for name, call in self._dependencies:
            value = await call(request)
            if name is not None:
                values[name] = value
        if self._required or self._optional:
            query = request.query_params
            for name, alias in self._required:
                values[name] = query[alias]
            for name, alias, default in self._optional:
                values[name] = query.get(alias, default)
        response: Response = await self._endpoint(**values)
        return response


class StraightRoutes:
    """Serves some routes straight, and hands all other requests on to the framework.

    It is the innermost layer of the application's own, so that all of these stand around both ways.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[APIRoute]) -> None:
        self._app = app
        self._by_method: dict[str, list[StraightRoute]] = {}
        for route in routes:
            for method in route.methods or ():
                self._by_method.setdefault(method, []).append(StraightRoute(route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            for straight in self._by_method.get(scope["method"], ()):
                parameters = straight.match(scope)
                if parameters is not None:
                    request = Request(scope, receive, send)
                    if not straight.is_complete(request):
                        break
                    await _serve(straight, request, parameters, send)
                    return
        await self._app(scope, receive, send)


async def _serve(
    straight: StraightRoute, request: Request, parameters: Mapping[str, str], send: Send
) -> None:
    # As the framework does: the log and the spans name the route, and the check of the URL reads it.
    request.scope.update(route=straight.route, endpoint=straight.route.endpoint, path_params=parameters)
    try:
        response = await straight.answer(request, parameters)
    except Exception as error:  # noqa: BLE001 - one that is not known is raised again
        response = answer_error(request, error)
    await response(request.scope, request.receive, send)


def _takes_request_alone(dependency: Any) -> bool:
    kinds = ("path_params", "query_params", "dependencies", *_UNSUPPORTED)
    return dependency.request_param_name == "request" and not any(getattr(dependency, one) for one in kinds)
