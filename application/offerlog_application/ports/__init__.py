"""What the use cases need from outside, as protocols; infrastructure provides it."""
