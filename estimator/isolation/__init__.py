"""Power above idle: what of a node's power is dynamic, and what is not anybody's doing."""
