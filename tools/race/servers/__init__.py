"""The servers of the race, each behind the same verbs; what they are asked to do is elsewhere."""
