"""From sources to the log: asked on time, buffered, sent."""
