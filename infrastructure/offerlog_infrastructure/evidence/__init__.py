"""Evidence that leaves the house: bundles for auditors, the verifier that stands alone, the witness."""
