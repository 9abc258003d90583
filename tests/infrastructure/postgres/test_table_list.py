"""The documentation's list of tables that cannot be rebuilt, beside the tables of a store."""

import re
from pathlib import Path
from typing import Final

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import SCHEMA
from support.recount import rows

_REBUILT: Final = {
    "action_map_names",
    "blocked_counts",
    "blocked_offers",
    "current_actions",
    "current_offers",
    "dead_letter_counts",
    "dead_letters",
    "form_rejections",
    "offerlog_tracking",
    "parked_signals",
    "performance_counts",
    "performance_days",
    "performance_repeats",
    "projection_proofs",
    "suppressions",
}
"""The tables that a rebuild makes from the log."""


def test_the_list_has_each_table_that_cannot_be_rebuilt(offerlog: Offerlog, dsn: str) -> None:
    """So whoever makes a backup of some tables alone knows which."""
    # given
    assert offerlog.position() == 0
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    found = re.search(r"These tables cannot be rebuilt: (.*?)\. The others", text, re.DOTALL)
    assert found is not None
    # when
    tables = rows(
        dsn,
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition",
        SCHEMA,
    )
    # then
    assert {*re.findall(r"`(\w+)`", found[1])} == {name for (name,) in tables} - _REBUILT
