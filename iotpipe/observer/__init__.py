"""Looks at a running environment without changing it: one snapshot for `status` and every other face."""
