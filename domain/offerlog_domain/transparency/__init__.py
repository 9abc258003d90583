"""Tamper evidence: the Merkle tree over the log, its proofs, and signed texts about it (RFC 6962, C2SP)."""
