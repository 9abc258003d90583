"""The searches: each model as it should be, and with each fault that must be found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Check:
    """One search of one model.

    Attributes:
        model: The name of the file, without its ending.
        bounds: Values of the model's macros.
        fault: The macro of a fault that must be found; None if nothing may be found.
    """

    model: str
    bounds: Mapping[str, int]
    fault: str | None = None

    def __str__(self) -> str:
        bounds = " ".join(f"{name}={value}" for name, value in self.bounds.items())
        return f"{self.model} {self.fault or 'as it should be'}: {bounds}"


def _with_faults(
    model: str, bounds: Mapping[str, int], faults: Mapping[str, Mapping[str, int]]
) -> list[Check]:
    """Return the check of the model as it should be, and one for each fault, with its other bounds."""
    return [
        Check(model, bounds),
        *(Check(model, {**bounds, **other}, fault) for fault, other in faults.items()),
    ]


SMALL: Final[Sequence[Check]] = [
    *_with_faults(
        "horizon",
        {"WRITERS": 2, "TRANSACTIONS": 1, "DRAWS": 1, "READERS": 1, "CRASHES": 1, "DEAD": 2},
        {
            "NO_WAIT": {},
            "LOCKS_FIRST": {},
            "DRAW_FIRST": {},
            "SNAPSHOT_FIRST": {},
            "CACHED_SEQUENCE": {"TRANSACTIONS": 2, "CRASHES": 0, "DEAD": 0},
            "OLD_HORIZON": {},
            "EMPTY_POSITIONS": {},
        },
    ),
    *_with_faults(
        "fence",
        {"WRITERS": 2, "APPENDS": 1, "KILLS": 1, "OTHERS": 1},
        {
            "NO_WAIT": {},
            "LISTED_TOO_EARLY": {},
            "EVENTS_ONLY": {},
            "NO_LOOK": {},
            "LOOK_FIRST": {},
            "LOAD_FIRST": {},
            "RESUME_AT_ONCE": {},
            "ERASED_TOO_EARLY": {},
        },
    ),
    *_with_faults(
        "move",
        {"WRITERS": 1, "EVENTS": 2, "MOVERS": 2, "LAST_EPOCH": 3, "REPORTS": 1},
        {
            "NO_WAIT": {},
            "RESUME_AT_ONCE": {},
            "LOOK_FIRST": {},
            "REST_FIRST": {},
            "TAKE_UNCHECKED": {},
            "REOPENED_FIRST": {},
            "CURRENT_EPOCH": {"LAST_EPOCH": 5},
            "LEFT_EARLY": {},
            "ADDED_BLINDLY": {},
        },
    ),
    *_with_faults(
        "archive",
        {"WRITERS": 2, "APPENDS": 1, "KILLS": 1, "RUNS": 1, "READERS": 1},
        {
            "EPOCH_KEPT": {"APPENDS": 2},
            "EPOCH_FIRST": {"APPENDS": 2},
            "LOOK_FIRST": {"APPENDS": 2},
            "ROWS_FIRST": {},
            "FILE_LATE": {},
            "OLD_FILE": {},
            "READ_APART": {},
            "LOAD_ROWS": {"APPENDS": 2},
            "VISITOR_FREE": {},
            "BLANK_ROWS": {},
        },
    ),
]
"""Each takes about a second; the tests run them."""

LARGE: Final[Sequence[Check]] = [
    Check("horizon", {"WRITERS": 2, "TRANSACTIONS": 2, "DRAWS": 1, "READERS": 1, "CRASHES": 1}),
    Check("horizon", {"WRITERS": 2, "TRANSACTIONS": 1, "DRAWS": 1, "READERS": 2, "CRASHES": 1}),
    Check("horizon", {"WRITERS": 2, "TRANSACTIONS": 1, "DRAWS": 2, "READERS": 1, "CRASHES": 2, "DEAD": 2}),
    Check("horizon", {"WRITERS": 3, "TRANSACTIONS": 1, "DRAWS": 1, "READERS": 1, "CRASHES": 0}),
    Check("fence", {"WRITERS": 2, "APPENDS": 2, "KILLS": 2, "OTHERS": 2}),
    Check("fence", {"WRITERS": 3, "APPENDS": 1, "KILLS": 1, "OTHERS": 0}),
    Check("move", {"WRITERS": 1, "EVENTS": 2, "MOVERS": 2, "LAST_EPOCH": 5, "REPORTS": 1}),
    Check("move", {"WRITERS": 2, "EVENTS": 2, "MOVERS": 2, "LAST_EPOCH": 3, "REPORTS": 1}),
    Check("move", {"WRITERS": 1, "EVENTS": 1, "MOVERS": 3, "LAST_EPOCH": 5, "REPORTS": 0}),
    Check("archive", {"WRITERS": 2, "APPENDS": 2, "KILLS": 1, "RUNS": 2, "READERS": 1}),
    Check("archive", {"WRITERS": 2, "APPENDS": 3, "KILLS": 2, "RUNS": 2, "READERS": 0}),
]
"""Some millions of states each, for `make model`."""
