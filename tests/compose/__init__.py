"""The compose file and the container files, proven as far as that goes without an engine."""
