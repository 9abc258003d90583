"""What every room of this layer may use: settings, clock, addresses, forks, disk space."""
