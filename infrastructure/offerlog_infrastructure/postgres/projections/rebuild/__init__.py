"""Building projections anew beside the live ones, and the proof before the switch."""

from offerlog_infrastructure.postgres.projections.rebuild.builder import rebuild

__all__ = ["rebuild"]
