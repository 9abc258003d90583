"""The rights of visitors: erasure step by step, legal holds, and the copy of all data of a visitor."""
