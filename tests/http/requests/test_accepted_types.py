"""The media type that a client wants most."""

import pytest

from offerlog_infrastructure.http.requests.accepted_types import choose_media_type

JSON, CSV, EXCEL = "application/json", "text/csv; charset=utf-8", "application/vnd.ms-excel"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", None),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV; q=0.2", CSV),
        ("text/csv;q=0", None),
        ("text/csv;q=0, */*;q=0.1", JSON),
        ("text/csv;q=0.4, application/json;q=0.5", JSON),
        ("text/csv, */*;q=0.8", CSV),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("text/*, application/json;q=0.9", CSV),
        ("*/*, application/vnd.ms-excel", EXCEL),
        ("text/csv, application/json", CSV),
        ("application/json, text/csv", JSON),
        ("text/csv;header=present;q=0.3, application/vnd.ms-excel;q=0.7", EXCEL),
        ("text/csv;q=lots, application/json;q=0.9", CSV),
        ("image/png", None),
        (",;=,", None),
    ],
)
def test_the_highest_weight_wins_then_the_most_exact_range_then_the_first(
    accept: str, chosen: str | None
) -> None:
    """A weight of 0 rules a type out, and what cannot be read rules nothing out."""
    assert choose_media_type(accept, [JSON, CSV, EXCEL]) == chosen
