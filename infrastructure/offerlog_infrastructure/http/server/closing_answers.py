"""Answers of the server itself, below the application. Each closes its connection."""

from offerlog_infrastructure.http.problems import ProblemError, answer, title


def closing_answer(problem: ProblemError) -> bytes:
    """Encode a problem as a whole answer of HTTP/1.1 that closes its connection."""
    problem.headers = {**(problem.headers or {}), "Connection": "close"}
    response = answer(problem)
    lines = [b"HTTP/1.1 %d %s" % (response.status_code, title(response.status_code).encode())]
    lines += [b"%s: %s" % header for header in response.raw_headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body)
