"""The conversion of a store of the first format: its events rewritten once, its projections made anew.

Migration 0012 puts the old events aside, into `first_events`. The conversion runs when such a store is
opened, and can be interrupted at any moment. See docs/decisions/0033.
"""

from offerlog_infrastructure.postgres.conversion.converter import convert_first_format

__all__ = ["convert_first_format"]
