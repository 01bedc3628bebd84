"""Frozen values and their canonical bytes: access rules, headers, rows, commits.

No I/O, no decisions.
"""
