"""The Merkle tree over the log, in tables: sealed behind the safe horizon, and read for proofs."""
