"""Building projections anew beside the live ones, and the proof before the switch."""

from offerlog_infrastructure.postgres.rebuild.builder import rebuild

__all__ = ["rebuild"]
