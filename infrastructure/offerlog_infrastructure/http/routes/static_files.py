"""The dashboard's scripts and styles, and the browser module."""

from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles


class PublicFiles(StaticFiles):
    """Static files that any site may load and any cache may keep for an hour."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Build the response for one file."""
        answer = super().file_response(*args, **kwargs)
        answer.headers["Access-Control-Allow-Origin"] = "*"
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        answer.headers["Cache-Control"] = "public, max-age=3600"
        return answer
