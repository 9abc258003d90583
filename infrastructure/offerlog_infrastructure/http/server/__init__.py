"""The server below the application: its port, connections and their limits."""
