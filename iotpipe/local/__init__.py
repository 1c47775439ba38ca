"""The embedded AWS of `target: local`: a process of its own on loopback, guarded, with its data on the disk."""
