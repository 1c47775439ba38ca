"""Proves that a pipeline works: makes or replays readings, sends them signed, and follows each to its row."""
