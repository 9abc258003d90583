"""Answers to browsers' preflight requests."""

from fastapi import Response


def answer_preflight(allowed_headers: str) -> Response:
    """Build the answer to a preflight request: POST is allowed, with these headers.

    The middleware adds the allowed origin (`SecurityHeaders`).
    """
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": allowed_headers,
            "Access-Control-Max-Age": "600",
        },
    )
