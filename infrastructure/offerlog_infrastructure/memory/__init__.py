"""The application's ports in memory, for unit tests of programs that use offerlog.

The append itself brings the projections up to date, so a wait for them returns at once. One lock guards all
of it. Public as `offerlog.testing.open_in_memory`.
"""
