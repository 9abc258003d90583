"""Numbers in sentences."""

import pytest

from offerlog_application.wording import format_count


@pytest.mark.parametrize(("number", "words"), [(0, "0 events"), (1, "1 event"), (2_000, "2,000 events")])
def test_only_one_thing_has_no_plural(number: int, words: str) -> None:
    """Thousands are set apart."""
    assert format_count(number, "event") == words
