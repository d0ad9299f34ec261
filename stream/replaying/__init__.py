"""A stretch of the log, learned anew."""
