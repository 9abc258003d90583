"""The formats of an export, by name."""

from enum import StrEnum


class ExportFormat(StrEnum):
    """The formats of an export. Callers write the values, or the same as the ending of a file's name."""

    PARQUET = "parquet"
    CSV = "csv"
    NDJSON = "ndjson"
    ARROW = "arrow"

    @property
    def is_text(self) -> bool:
        """True for a format that a person can read on a terminal."""
        return self in {ExportFormat.CSV, ExportFormat.NDJSON}
