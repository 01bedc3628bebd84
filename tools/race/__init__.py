"""The race of `make bench`: cells, peers, goals, rounds, report. The product imports none of it."""
