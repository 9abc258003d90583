"""The dashboard's scripts and styles, and the browser module."""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from offerlog_infrastructure.http.responses.browser_module import (
    IMMUTABLE,
    MODULE_NAME,
    STATIC,
    read_module,
)
from offerlog_infrastructure.http.responses.packing import PACKED_HEADERS, accepts_gzip, pack

_FOR_AN_HOUR: Final = "public, max-age=3600"
_ASKED_FOR_AGAIN: Final = "public, no-cache"
"""For the dashboard's own files: after an upgrade, an old script beside new ones would break its pages."""

_FOR_EVER: Final = "public, max-age=31536000, immutable"

_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class _PublicFile:
    """File in memory, plain and packed.

    Attributes:
        media_type: Its type.
        content: Its bytes.
        packed: The same as gzip; None if that is not worth it.
        headers: Headers of every answer with it.
    """

    media_type: str | None
    content: bytes
    packed: bytes | None
    headers: Mapping[str, str]

    def answer(self, asked: Headers) -> Response:
        """Build the answer to a request with these headers."""
        if self.headers["ETag"] in asked.get("if-none-match", ""):
            return Response(status_code=304, headers=self.headers)
        if self.packed is None or not accepts_gzip(asked):
            return Response(self.content, headers=self.headers, media_type=self.media_type)
        return Response(self.packed, headers={**self.headers, **PACKED_HEADERS}, media_type=self.media_type)


class PublicFiles(StaticFiles):
    """Static files that any site may load, and that caches may keep.

    All of them are in memory, as they are few and small. The browser module has a second address with its
    version and digest. Caches may keep that one for ever, and so may files that are named alike.
    """

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        self._files = _read_files()

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer a request for one file.

        Raises:
            HTTPException: 404, there is no such file; 405, the method is not GET.
        """
        if scope["method"] != "GET":  # HEAD comes as GET
            raise HTTPException(405)
        file = self._files.get(path)
        if file is None:
            raise HTTPException(404)
        return file.answer(Headers(scope=scope))


@cache
def _read_files() -> Mapping[str, _PublicFile]:
    """Read the folder; a file's name is its path in it."""
    module = read_module()
    found = {
        file.relative_to(STATIC).as_posix(): file.read_bytes() for file in STATIC.rglob("*") if file.is_file()
    }
    found |= {MODULE_NAME: module.content, module.file_name: module.content}
    return {name: _build(name, content) for name, content in found.items()}


def _build(name: str, content: bytes) -> _PublicFile:
    media_type = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
    is_own = name != MODULE_NAME and not name.startswith("vendor/")
    keep = _FOR_EVER if IMMUTABLE.fullmatch(name) else _ASKED_FOR_AGAIN if is_own else _FOR_AN_HOUR
    headers = {**_HEADERS, "Cache-Control": keep, "ETag": f'W/"{sha256(content).hexdigest()[:32]}"'}
    return _PublicFile(media_type, content, pack(content, 9), headers)
