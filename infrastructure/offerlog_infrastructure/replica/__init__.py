"""The suppression list beside the process that asks: a file of its own, fed from the log."""

from offerlog_infrastructure.replica.follower import SuppressionReplica

__all__ = ["SuppressionReplica"]
