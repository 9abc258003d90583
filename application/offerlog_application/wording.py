"""Numbers in sentences for people."""


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 event`, `2,000 events`.

    Args:
        number: The number.
        noun: The noun in the singular; its plural ends with an s.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
