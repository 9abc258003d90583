"""The replica: a local copy of the suppression list, kept up to date from the log."""

from offerlog_infrastructure.replica.follower import SuppressionReplica

__all__ = ["SuppressionReplica"]
