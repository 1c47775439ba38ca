"""The embedded AWS of `target: local`: an engine of its own process, on loopback, guarded and snapshotted."""
