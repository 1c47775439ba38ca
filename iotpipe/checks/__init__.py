"""Checks that find, before `up` creates anything, what would make it fail or lose readings, each with a remedy."""
