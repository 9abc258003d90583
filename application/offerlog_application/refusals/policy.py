"""The retention of the refusal log and its quota of texts. No decision reads that log."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RefusalPolicy:
    """Retention and quota of the refusal log, for every organization alike.

    Attributes:
        retention: Refusals are deleted when they are older than this; zero keeps them for ever. Their counts
            stay.
        text_bytes_a_day: Bytes of text that are kept of one organization's refusals in a day of UTC. A
            refusal beyond it is kept with its reason, field, cause and length, but without text.
        unattributed_retention: As `retention`, for refusals whose texts do not say whose they are, because no
            visitor can have them erased. Zero keeps them as long as the others.
    """

    retention: timedelta = timedelta(days=30)
    text_bytes_a_day: int = 64 << 20
    unattributed_retention: timedelta = timedelta(days=30)
