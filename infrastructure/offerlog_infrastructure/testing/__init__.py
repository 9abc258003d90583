"""Tools for tests of programs that use offerlog; public as `offerlog.testing`."""
