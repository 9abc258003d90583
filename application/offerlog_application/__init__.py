"""The use cases, over ports: no SQL, no HTTP, no environment."""
