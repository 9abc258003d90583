"""Evidence for people outside: checkpoints and proofs of the log, its verification, and the witness."""
