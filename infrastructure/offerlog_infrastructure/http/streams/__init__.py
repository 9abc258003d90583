"""Server-Sent Events: live reports, each shared by all streams of an organization."""
