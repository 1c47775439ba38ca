"""Test readings: made or replayed, sent signed, and each verified as far as its stored row."""
