"""The machine underneath, as its kernel tells it: processor, counters, whether it is a guest."""
