"""The log as those who follow it read it."""
