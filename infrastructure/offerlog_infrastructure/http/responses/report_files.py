"""Reports as files: the format that a caller wants, and the entity tag of an answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Final, Literal

from fastapi import Query, Request, Response

from offerlog_application.ports.read_models import Proof
from offerlog_application.reading.read_budget import check_read
from offerlog_infrastructure.export.report_files import FileFormat, Sheet, encode_sheet
from offerlog_infrastructure.http.requests.accepted_types import choose_media_type
from offerlog_infrastructure.http.responses.packing import PACKED_HEADERS, accepts_gzip, pack
from offerlog_infrastructure.http.responses.pages import encoded_response
from offerlog_infrastructure.http.threads.dispatch import run_report

_PACKED: Final = frozenset({None, FileFormat.CSV})
"""Formats that are packed for transport: JSON and CSV. Excel and Parquet files are packed in themselves."""

AskedFormat = Annotated[Literal["json", "csv", "xlsx", "parquet"] | None, Query(alias="format")]
AskedMark = Annotated[
    bool, Query(alias="bom", description="Begin CSV with a byte order mark, which Excel needs.")
]


def wanted_format(request: Request, form: str | None) -> FileFormat | None:
    """Return the format of a file that a caller wants, by the parameter or by `Accept`; None for JSON."""
    if form is not None:
        return None if form == "json" else FileFormat(form)
    by_type = {"application/json": None, **{one.media_type: one for one in FileFormat}}
    chosen = choose_media_type(request.headers.get("accept", ""), list(by_type))
    return None if chosen is None else by_type[chosen]


async def report_response(
    request: Request,
    form: FileFormat | None,
    headers: Mapping[str, str],
    encode_document: Callable[[], bytes],
    encode_file: Callable[[FileFormat], tuple[str, bytes]],
) -> Response:
    """Answer with a report that a thread makes and encodes.

    Args:
        request: The request that is answered.
        form: The format of a file; None for JSON.
        headers: The headers of the report, as `report_headers` makes them.
        encode_document: Makes the report, and returns it as JSON.
        encode_file: Makes the report, and returns the name and the content of a file in that format.
    """
    packs = accepts_gzip(request.headers)

    def encode() -> tuple[str | None, bytes, bytes | None]:
        name, content = (None, encode_document()) if form is None else encode_file(form)
        return name, content, pack(content) if packs and form in _PACKED else None

    name, content, packed = await run_report(request, encode)
    if packed is not None:
        content, headers = packed, {**headers, **PACKED_HEADERS}
    if form is None or name is None:
        return encoded_response(content, headers=headers)
    return _file_response(name, content, form, headers)


def encode_file(
    sheet: Sheet,
    form: FileFormat,
    *,
    mark: bool,
    bound: Callable[[Iterable[bytes]], Iterable[bytes]] = iter,
) -> tuple[str, bytes]:
    """Encode a table as a file, and return the name and the content.

    Args:
        sheet: The table.
        form: The format.
        mark: True to begin CSV with a byte order mark.
        bound: Passes the pieces of the file on; it may raise an error where they are too long.

    Raises:
        ReadTimeoutError: The read exceeded its time limit.
    """
    pieces = encode_sheet(sheet, form, check_read, mark=mark)
    return sheet.file_name(form), b"".join(bound(pieces))


def _file_response(name: str, content: bytes, form: FileFormat, headers: Mapping[str, str]) -> Response:
    """Answer with a file: a browser saves it under that name."""
    kind = f"{form.media_type}; charset=utf-8" if form is FileFormat.CSV else form.media_type
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers={**headers, **disposition})


_VARIES: Final = {
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Encoding, Authorization, Cookie",
}


def report_headers(
    counted: Sequence[Proof],
    organization: str,
    form: FileFormat | None,
    *resolved: datetime | None,
    maps: Sequence[str] = (),
) -> dict[str, str]:
    """Return the headers of a report, its ETag among them. The tag is weak: a packed answer has the same.

    The proofs are of the whole log, so the organization is in the tag too, with what the query means now.

    Args:
        counted: The proofs of the projections that were read.
        organization: Whose report.
        form: The format; None for JSON.
        resolved: What relative times in the query mean now.
        maps: The action maps that names in the query mean now.
    """
    parts = [organization, *("" if one is None else one.isoformat() for one in resolved), *maps]
    digest = sha256("\0".join(parts).encode()).hexdigest()[:8]
    mark = "-".join(one.mark for one in counted)
    return {"ETag": f'W/"{mark}-{digest}-{form or "json"}"', **_VARIES}


def not_modified(request: Request, headers: Mapping[str, str]) -> Response | None:
    """Return the answer 304 if the caller has this report already, by weak comparison (RFC 9110, 13.1.2)."""
    tag = headers["ETag"].removeprefix("W/")
    sent = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    return Response(status_code=304, headers=dict(headers)) if "*" in sent or tag in sent else None
