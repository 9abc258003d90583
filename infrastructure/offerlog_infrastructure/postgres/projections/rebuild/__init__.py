"""Rebuilds: projections built anew beside the live ones, compared with them, and swapped in."""

from offerlog_infrastructure.postgres.projections.rebuild.builder import rebuild

__all__ = ["rebuild"]
