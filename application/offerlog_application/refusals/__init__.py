"""The refusal log of an open service: its lists and counts, its policy and its upkeep."""
