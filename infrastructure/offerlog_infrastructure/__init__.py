"""The surroundings of every room of this layer: settings, clock, addresses, forks, disk space, sealing."""
