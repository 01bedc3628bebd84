"""The race of `make bench`: cells, peers, goals, rounds and the report. Nothing of it is imported by the product."""
