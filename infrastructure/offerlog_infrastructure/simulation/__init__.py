"""Realistic web chat traffic in the vendor's wire form: the same arguments give the same bytes."""

from offerlog_infrastructure.simulation.traffic import Traffic, simulate

__all__ = ["Traffic", "simulate"]
