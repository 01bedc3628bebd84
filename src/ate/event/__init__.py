"""Frozen values and their canonical bytes: access rules, headers, rows, commits; no I/O, no decisions."""
