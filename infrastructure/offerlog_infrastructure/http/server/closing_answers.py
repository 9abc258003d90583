"""Answers of the server itself, below the application: the connection ends with them."""

from offerlog_infrastructure.http.problems import ProblemError, answer, title


def closing_answer(problem: ProblemError) -> bytes:
    """Encode a problem as a whole answer of HTTP/1.1 that ends its connection."""
    problem.headers = {**(problem.headers or {}), "Connection": "close"}
    made = answer(problem)
    lines = [b"HTTP/1.1 %d %s" % (made.status_code, title(made.status_code).encode())]
    lines += [b"%s: %s" % header for header in made.raw_headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(made.body)
