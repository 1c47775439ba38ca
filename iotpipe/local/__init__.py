"""The embedded AWS of `target: local`: ministack in a process of its own, on loopback, with authentication."""
