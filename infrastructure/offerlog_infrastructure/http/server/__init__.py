"""The server below the application: its ports, its connections and their limits."""
